"""Many use one database: connections that hold the lock, threads, and forks."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import BaseError, TDatabase, UnavailableError
from open_alchemy.package_database.core.deadline import GRACE, Deadline
from open_alchemy.package_database.core.operations import Delete, DeleteMany, Get, Item, Transact
from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.engines.sql import statements
from open_alchemy.package_database.engines.sqlite import connection_pool, engine
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.connection_pool import FileConnections, MemoryConnections
from open_alchemy.package_database.engines.sqlite.database_file import transaction
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, latest_key
from open_alchemy.package_database.types import TConnectedDatabase

DEADLINE = 0.4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def database(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TConnectedDatabase]:
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", str(DEADLINE))
    with package_database.connect(f"sqlite:///{path}") as opened:
        publish(opened, "1.0")
        yield opened


def publish(database: TDatabase, version: str) -> None:
    database.create_update_spec(sub="u1", name="a", version=version, model_count=1)


def versions_of(database: TDatabase) -> list[str]:
    return [info["version"] for info in database.list_spec_versions(sub="u1", name="a")]


@contextmanager
def locked(path: Path, lock: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """Holds the write lock, but not so long that a call that waits without end would hang the test."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute(lock)
        end = threading.Timer(5, other.rollback)
        end.start()
        yield other
        end.cancel()
        end.join()


def revoke(database: TDatabase) -> None:
    database.delete_all_credentials(sub="u1")


@pytest.mark.parametrize("call", [lambda database: publish(database, "2.0"), revoke], ids=["transaction", "many"])
def test_a_lock_that_is_held_beyond_the_deadline_is_an_outage(path: Path, database: TDatabase, call: Any) -> None:
    database.create_update_credentials(sub="u1", id_="1", public_key="pk", secret_key_hash=b"h", salt=b"s")
    with locked(path):
        start = time.monotonic()
        with pytest.raises(UnavailableError, match=r"waited 0\.\d s for the lock of another writer"):
            call(database)
        elapsed = time.monotonic() - start

    assert DEADLINE - 0.05 <= elapsed <= DEADLINE + GRACE
    assert versions_of(database) == ["1.0"]
    assert len(database.list_credentials(sub="u1")) == 1


def test_an_outage_in_the_middle_of_many_deletions_tells_how_many_are_left(path: Path, database: TDatabase) -> None:
    keys = tuple({"sub": "u1", "id": f"{number}"} for number in range(1_500))
    deadline = Deadline(DEADLINE)
    with locked(path), pytest.raises(UnavailableError, match="; 1500 of 1500 items are left"):
        engine_of(database).execute(DeleteMany(CREDENTIALS, keys), deadline)


def test_a_lock_that_is_given_up_in_time_is_waited_for(path: Path, database: TDatabase) -> None:
    with locked(path) as other:
        release = threading.Timer(DEADLINE / 4, lambda: other.execute("COMMIT"))
        release.start()
        publish(database, "2.0")
        release.join()

    assert versions_of(database) == ["1.0", "2.0"]


def test_readers_do_not_wait_for_a_writer(path: Path, database: TDatabase) -> None:
    with locked(path) as other:
        other.execute('DELETE FROM "package.specs"')

        assert versions_of(database) == ["1.0"]


def test_opening_waits_no_longer_than_the_deadline(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", str(DEADLINE))
    with locked(path, "BEGIN EXCLUSIVE"), package_database.connect(f"sqlite:///{path}") as database:
        start = time.monotonic()
        with pytest.raises(UnavailableError, match=r"opening .*a\.db waited"):
            publish(database, "1.0")
        elapsed = time.monotonic() - start

    assert DEADLINE - 0.05 <= elapsed <= DEADLINE + GRACE


def test_a_call_that_came_too_late_is_not_begun(database: TDatabase) -> None:
    engine = engine_of(database)

    with pytest.raises(UnavailableError, match=r"Get on package\.specs was not begun"):
        engine.execute(Get(SPECS, latest_key("u1", "a")), Deadline(-1))
    with pytest.raises(UnavailableError, match=r"Transact on package\.specs was not begun"):
        engine.execute(Transact((Delete(SPECS, latest_key("u1", "a")),)), Deadline(-1))


def engine_of(database: Any) -> SQLiteEngine:
    engine = database.engine
    assert isinstance(engine, SQLiteEngine)
    return engine


def test_the_store_in_memory_is_waited_for_no_longer_than_the_deadline() -> None:
    memory = MemoryConnections()
    database = open_database(SQLiteEngine(memory, SQLiteConfig()))
    memory.borrow(Deadline(5))
    start = time.monotonic()

    with pytest.raises(UnavailableError, match="the store in memory was in use"):
        database.list_specs(sub="u1")

    assert DEADLINE - 0.05 <= time.monotonic() - start <= DEADLINE + GRACE


def test_no_more_connections_are_kept_than_a_few(path: Path, database: TDatabase) -> None:
    pool = FileConnections(path)
    pool.prepare()
    lent = [pool.borrow(Deadline(5)) for _ in range(40)]

    for connection in lent:
        pool.give_back(connection)

    assert 1 <= len(pool._idle) < 40
    pool.close()
    assert not pool._idle


def test_what_is_lent_when_the_database_is_closed_is_closed_when_it_comes_back(path: Path) -> None:
    pool = FileConnections(path)
    pool.prepare()
    connection = pool.borrow(Deadline(5))

    pool.close()
    pool.give_back(connection)

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
    with pytest.raises(BaseError, match="the database was closed"):
        pool.borrow(Deadline(5))


def test_a_connection_that_is_left_in_a_transaction_is_not_lent_again(path: Path) -> None:
    pool = FileConnections(path)
    pool.prepare()
    connection = pool.borrow(Deadline(5))
    connection.execute("BEGIN IMMEDIATE")

    pool.give_back(connection)

    assert not pool._idle
    pool.close()


def test_a_call_that_is_interrupted_gives_its_lock_up(path: Path, database: TDatabase) -> None:
    def interrupt(connection: sqlite3.Connection) -> None:
        with transaction(connection):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine_of(database).run(interrupt, "interrupting", Deadline(5))

    with locked(path):
        pass
    publish(database, "2.0")


def test_a_read_that_is_interrupted_leaves_no_snapshot_behind(
    path: Path, database: TDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(database, "2.0")

    def interrupt(row: object) -> Item:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(engine, "_PAGE", 1)
        interrupted.setattr(statements, "decoder", lambda _: interrupt)
        # The traceback, and with it the cursor, is kept as a caller may keep it.
        with pytest.raises(KeyboardInterrupt) as caught:
            versions_of(database)
    with package_database.connect(f"sqlite:///{path}") as other:
        publish(other, "3.0")

    assert versions_of(database) == ["1.0", "2.0", "3.0"]
    publish(database, "4.0")
    del caught


FORKS = """
import os, sys
from open_alchemy import package_database
database = package_database.connect(sys.argv[1])
def publish(version):
    database.create_update_spec(sub="u1", name="a", version=version, model_count=1)
publish("of the parent")
for number in range(3):
    pid = os.fork()
    if pid == 0:
        publish(f"of child {number}")
        grandchild = os.fork()
        if grandchild == 0:
            publish(f"of grandchild {number}")
            os._exit(0)
        ended = os.waitpid(grandchild, 0)[1]
        if sys.argv[2] == "exit":
            sys.exit(ended)
        os._exit(ended)
    publish(f"beside child {number}")
    assert os.waitpid(pid, 0)[1] == 0
versions = [info["version"] for info in database.list_spec_versions(sub="u1", name="a")]
print(len(versions), len(set(versions)), "of grandchild 2" in versions)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("end", ["exit", "_exit"])
def test_a_fork_uses_the_file_as_its_parent_does(path: Path, end: str) -> None:
    command = [sys.executable, "-W", "error", "-c", FORKS, f"sqlite:///{path}", end]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (finished.stdout, finished.stderr) == ("10 10 True\n", "")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_fork_has_a_copy_of_the_store_in_memory(tmp_path: Path) -> None:
    program = """
import os
from open_alchemy import package_database
database = package_database.connect("sqlite://")
def publish(version):
    database.create_update_spec(sub="u1", name="a", version=version, model_count=1)
def versions():
    return [info["version"] for info in database.list_spec_versions(sub="u1", name="a")]
publish("of the parent")
if (pid := os.fork()) == 0:
    publish("of the child")
    print(versions(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(versions())
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert finished.stdout == "['of the parent', 'of the child']\n['of the parent']\n", finished.stderr


def test_no_connection_is_open_when_the_process_forks(path: Path, database: TDatabase) -> None:
    pool: Any = engine_of(database)._connections
    assert len(pool._idle) == 1

    connection_pool._pause_all()
    idle = len(pool._idle)
    files = [found.name for found in path.parent.iterdir()]
    connection_pool._resume_all()

    assert idle == 0
    assert files == ["a.db"]
    publish(database, "2.0")


def test_a_fork_waits_for_calls_in_other_threads(path: Path, database: TDatabase) -> None:
    pool: Any = engine_of(database)._connections
    connection = pool.borrow(Deadline(5))
    done: list[str] = []

    def call() -> None:
        time.sleep(0.1)
        done.append("call")
        pool.give_back(connection)

    thread = threading.Thread(target=call)
    thread.start()
    connection_pool._pause_all()
    done.append("fork")
    late = threading.Thread(target=lambda: done.append(f"late {versions_of(database)}"))
    late.start()
    time.sleep(0.05)
    done.append("resume")
    connection_pool._resume_all()
    thread.join()
    late.join()

    assert done == ["call", "fork", "resume", "late ['1.0']"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("store", ["file", "memory"])
@pytest.mark.parametrize("where", ["in another thread", "in a signal handler"])
def test_a_child_of_a_fork_in_the_middle_of_a_call_refuses_the_store(path: Path, store: str, where: str) -> None:
    program = """
import os, signal, sys, threading
from open_alchemy import package_database
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines.sqlite import connections
connection_pool._LONGEST_PAUSE = 0.1
url, where = sys.argv[1:]
database = package_database.connect(url)
def publish(version):
    package_database.connect(url).create_update_spec(sub="u1", name="a", version=version, model_count=1)
publish("1.0")
database.list_specs(sub="u1")
def fork():
    if (pid := os.fork()) == 0:
        for opened in (database, package_database.connect(url)):
            try:
                opened.list_specs(sub="u1")
            except package_database.RefusedError as error:
                print(error.code, flush=True)
        with package_database.connect("sqlite:///other.db") as other:
            print(other.list_specs(sub="u1"), flush=True)
        return pid
    print(os.waitpid(pid, 0)[1], flush=True)
    return pid
asked, over = threading.Event(), threading.Event()
def call(connection):
    connection.execute("BEGIN IMMEDIATE")
    asked.set()
    over.wait(5)
    connection.execute("ROLLBACK")
def interrupted(connection):
    signal.raise_signal(signal.SIGUSR1)
children = []
if where == "in another thread":
    thread = threading.Thread(target=lambda: database.engine.run(call, "calling", Deadline(5)))
    thread.start()
    asked.wait(5)
    children.append(fork())
    over.set()
    if children[0]:
        thread.join()
else:
    signal.signal(signal.SIGUSR1, lambda *_: children.append(fork()))
    database.engine.run(interrupted, "interrupting", Deadline(5))
if not children[0]:
    os._exit(0)
publish("2.0")
print([info["version"] for info in database.list_spec_versions(sub="u1", name="a")])
"""
    url = f"sqlite:///{path}" if store == "file" else "sqlite://"
    finished = subprocess.run(
        [sys.executable, "-c", program, url, where],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        cwd=path.parent,
    )

    assert finished.stdout == "Forked\nForked\n[]\n0\n['1.0', '2.0']\n", finished.stderr


def test_preparing_again_takes_no_connection_that_is_idle(path: Path) -> None:
    pool = FileConnections(path)
    pool.prepare()
    pool.give_back(pool.borrow(Deadline(5)))
    idle = list(pool._idle)

    pool.prepare()

    assert pool._idle == idle
    pool.close()


def test_a_fork_waits_for_all_busy_stores_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_pool, "_LONGEST_PAUSE", 0.2)
    pools: list[Any] = [FileConnections(tmp_path / f"{number}.db") for number in range(5)]
    for pool in pools:
        pool.prepare()
    lent = [pool.borrow(Deadline(5)) for pool in pools]

    start = time.monotonic()
    connection_pool._pause_all()
    elapsed = time.monotonic() - start
    connection_pool._resume_all()

    for pool, connection in zip(pools, lent, strict=True):
        pool.give_back(connection)
        pool.close()
    assert 0.15 <= elapsed < 0.6


def test_a_database_is_opened_in_another_thread_while_the_process_forks(path: Path) -> None:
    """The set of stores changes while a fork goes through it: an error there would let the fork go on."""
    kept = [FileConnections(path) for _ in range(200)]
    is_over = threading.Event()

    def open_on() -> None:
        while not is_over.is_set():
            FileConnections(path)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=open_on)
    thread.start()
    paused: list[int] = []
    try:
        for _ in range(300):
            connection_pool._pause_all()
            paused.append(len(connection_pool._paused))
            connection_pool._resume_all()
    finally:
        sys.setswitchinterval(interval)
        is_over.set()
        thread.join()

    assert min(paused) >= len(kept)


def test_threads_share_a_database(database: TDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[BaseError] = []

    def live(number: int) -> None:
        try:
            for version in range(10):
                database.create_update_spec(sub="u2", name="a", version=f"{number}.{version}", model_count=1)
                database.list_specs(sub="u2")
        except BaseError as error:
            errors.append(error)

    database.deadline = 60  # type: ignore[attr-defined]
    threads = [threading.Thread(target=live, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(database.list_spec_versions(sub="u2", name="a")) == 80
