"""Many users of one database: connections that hold the lock, threads, and forks."""

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
from open_alchemy.package_database import BaseError, RefusedError, TDatabase, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Delete, Get, Transact
from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.engines import fork
from open_alchemy.package_database.engines.sqlite import connection_pool
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.connection_pool import FilePool, MemoryPool
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine, open_memory, open_sqlite
from open_alchemy.package_database.model.keys import latest_key
from open_alchemy.package_database.model.schema import SPECS, TABLES
from open_alchemy.package_database.types import TConnectedDatabase

DEADLINE = 0.2


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
    """Holds a lock on the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(lock)
        yield other


def revoke(database: TDatabase) -> None:
    database.delete_all_credentials(sub="u1")


@pytest.mark.parametrize("call", [lambda database: publish(database, "2.0"), revoke], ids=["transaction", "many"])
def test_a_lock_held_beyond_the_deadline_is_an_unavailable_error(path: Path, database: TDatabase, call: Any) -> None:
    database.create_update_credentials(sub="u1", id_="1", public_key="pk", secret_key_hash=b"h", salt=b"s")
    with locked(path), pytest.raises(UnavailableError, match=r"waited .* s for the lock of another writer") as caught:
        call(database)

    assert caught.value.seconds >= DEADLINE
    assert versions_of(database) == ["1.0"]
    assert len(database.list_credentials(sub="u1")) == 1


def test_a_lock_released_in_time_is_waited_for(
    path: Path, database: TDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(path) as other:
        monkeypatch.setattr(time, "sleep", lambda _: other.in_transaction and other.execute("COMMIT"))
        publish(database, "2.0")

    assert versions_of(database) == ["1.0", "2.0"]


def test_readers_do_not_wait_for_a_writer(path: Path, database: TDatabase) -> None:
    with locked(path) as other:
        other.execute('DELETE FROM "package.specs"')

        assert versions_of(database) == ["1.0"]


def test_opening_waits_no_longer_than_the_deadline(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", str(DEADLINE))
    with (
        locked(path, "BEGIN EXCLUSIVE"),
        package_database.connect(f"sqlite:///{path}") as database,
        pytest.raises(UnavailableError, match=r"opening .*a\.db waited") as caught,
    ):
        publish(database, "1.0")

    assert caught.value.seconds >= DEADLINE


def test_an_operation_after_the_deadline_is_not_executed(database: TDatabase) -> None:
    engine = engine_of(database)

    with pytest.raises(UnavailableError, match=r"Get on package\.specs: deadline exceeded"):
        engine.execute(Get(SPECS, latest_key("u1", "a")), Deadline(-1))
    with pytest.raises(UnavailableError, match=r"Transact on package\.specs: deadline exceeded"):
        engine.execute(Transact((Delete(SPECS, latest_key("u1", "a")),)), Deadline(-1))


def engine_of(database: Any) -> SQLiteEngine:
    engine = database.engine
    assert isinstance(engine, SQLiteEngine)
    return engine


def calls_of(engine: Any) -> list[Any]:
    found: list[Any] = engine._pool._calls.in_progress()
    return found


def test_the_store_in_memory_is_waited_for_no_longer_than_the_deadline() -> None:
    pool = MemoryPool(TABLES)
    database = open_database(SQLiteEngine(pool, SQLiteConfig(deadline=DEADLINE), TABLES))

    def call_meanwhile(_: sqlite3.Connection) -> None:
        with pytest.raises(UnavailableError, match=r"the store in memory was in use for .* s"):
            database.list_specs(sub="u1")

    pool.use(call_meanwhile, Deadline(5))
    assert database.list_specs(sub="u1") == []


def use_nested(pool: FilePool, depth: int, found: list[sqlite3.Connection]) -> None:
    def work(connection: sqlite3.Connection) -> None:
        found.append(connection)
        if depth > 1:
            use_nested(pool, depth - 1, found)

    pool.use(work, Deadline(5))


def test_a_pool_keeps_few_idle_connections(path: Path, database: TDatabase) -> None:
    pool = FilePool(path, TABLES)
    pool.prepare(Deadline(5))
    use_nested(pool, 40, [])

    for _ in range(40):
        use_nested(pool, 1, [])

    assert 1 <= len(pool._idle) <= connection_pool._MAX_IDLE
    pool.close()
    assert not pool._idle


def test_a_connection_in_use_when_the_pool_is_closed_is_closed_after_its_call(path: Path) -> None:
    pool = FilePool(path, TABLES)
    pool.prepare(Deadline(5))
    used: list[sqlite3.Connection] = []

    def close(connection: sqlite3.Connection) -> None:
        used.append(connection)
        pool.close()

    pool.use(close, Deadline(5))

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        used[0].execute("SELECT 1")
    with pytest.raises(RefusedError, match="the database was closed"):
        pool.use(used.append, Deadline(5))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///closed.db"])
def test_a_closed_engine_refuses_every_call(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = engine_of(package_database.connect(url))
    engine.prepare()

    engine.close()
    engine.close()

    for call in (engine.prepare, lambda: engine.execute(Get(SPECS, latest_key("u1", "a")), Deadline(5))):
        with pytest.raises(RefusedError, match="the database was closed") as caught:
            call()
        assert caught.value.code == "Closed"


@pytest.mark.parametrize("seconds", ["1e10", "1e300"])
@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///patient.db"])
def test_a_deadline_may_be_very_long(url: str, seconds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", seconds)

    with package_database.connect(url) as database:
        publish(database, "1.0")
        assert versions_of(database) == ["1.0"]
        database.delete_all(sub="u1")


FORKS = """
import os, sys
from open_alchemy import package_database
database = package_database.connect(sys.argv[1])
def publish(version):
    database.create_update_spec(sub="u1", name="a", version=version, model_count=1)
publish("of the parent")
for number in range(2):
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
print(len(versions), len(set(versions)), "of grandchild 1" in versions)
"""


@pytest.mark.usefixtures("measured_programs")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("end", ["exit", "_exit"])
def test_a_fork_uses_the_file_as_its_parent_does(path: Path, end: str) -> None:
    command = [sys.executable, "-W", "error", "-c", FORKS, f"sqlite:///{path}", end]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (finished.stdout, finished.stderr) == ("7 7 True\n", "")
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
    pool: Any = engine_of(database)._pool
    assert len(pool._idle) == 1

    fork._before()
    idle = len(pool._idle)
    files = [found.name for found in path.parent.iterdir()]
    fork._forks.clear()

    assert idle == 0
    assert files == ["a.db"]
    publish(database, "2.0")


def test_a_fork_waits_for_calls_in_other_threads_and_later_calls_wait_for_it(
    database: TDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    started, is_forking, is_late = threading.Event(), threading.Event(), threading.Event()

    def work(_: sqlite3.Connection) -> None:
        started.set()
        assert is_forking.wait(60)
        order.append("call")

    def sleep(_: float) -> None:
        # The fork waits for the call, and then the late call for the fork.
        (is_late if is_forking.is_set() and "fork" in order else is_forking).set()

    def call_late() -> None:
        order.append(f"late {versions_of(database)}")

    thread = threading.Thread(target=lambda: engine_of(database).run(work, "waiting", Deadline(5)))
    late = threading.Thread(target=call_late)
    thread.start()
    assert started.wait(60)
    monkeypatch.setattr(time, "sleep", sleep)
    fork._before()
    order.append("fork")
    late.start()
    assert is_late.wait(60)
    order.append("end of the fork")
    fork._forks.clear()
    thread.join()
    late.join()

    assert order == ["call", "fork", "end of the fork", "late ['1.0']"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.usefixtures("measured_programs")
@pytest.mark.parametrize("store", ["file", "memory"])
@pytest.mark.parametrize("where", ["in another thread", "in a signal handler"])
def test_a_child_of_a_fork_in_the_middle_of_a_call_refuses_the_store(path: Path, store: str, where: str) -> None:
    program = """
import os, signal, sys, threading
from open_alchemy import package_database
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines import fork as fork_registry
fork_registry._WAIT_SECONDS = 0.1
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
    over.wait(60)
    connection.execute("ROLLBACK")
def interrupted(connection):
    signal.raise_signal(signal.SIGUSR1)
children = []
if where == "in another thread":
    thread = threading.Thread(target=lambda: database.engine.run(call, "calling", Deadline(5)))
    thread.start()
    asked.wait(60)
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
        timeout=60,
        check=False,
        cwd=path.parent,
    )

    assert finished.stdout == "Forked\nForked\n[]\n0\n['1.0', '2.0']\n", finished.stderr


def test_preparing_again_uses_no_idle_connection(path: Path) -> None:
    pool = FilePool(path, TABLES)
    pool.prepare(Deadline(5))
    use_nested(pool, 1, [])
    idle = list(pool._idle)

    pool.prepare(Deadline(5))

    assert pool._idle == idle
    pool.close()


def test_a_fork_waits_for_all_busy_stores_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork, "_WAIT_SECONDS", 0.05)
    engines = [open_memory(SQLiteConfig(), TABLES) for _ in range(5)]
    is_over = threading.Event()
    started = threading.Barrier(6)

    def work(_: sqlite3.Connection) -> None:
        started.wait(60)
        is_over.wait(60)

    threads = [threading.Thread(target=engine.run, args=(work, "waiting", Deadline(5))) for engine in engines]
    for thread in threads:
        thread.start()
    started.wait(60)

    fork._before()
    waiting = [len(calls_of(engine)) for engine in engines]
    fork._forks.clear()
    is_over.set()
    for thread in threads:
        thread.join()

    assert waiting == [1] * 5
    assert not any(map(calls_of, engines))


def test_a_database_is_opened_in_another_thread_while_the_process_forks(path: Path) -> None:
    kept = [FilePool(path, TABLES) for _ in range(50)]
    is_over = threading.Event()

    def open_databases() -> None:
        while not is_over.is_set():
            FilePool(path, TABLES)

    thread = threading.Thread(target=open_databases)
    thread.start()
    try:
        for _ in range(100):
            fork._before()
            fork._forks.clear()
    finally:
        is_over.set()
        thread.join()

    assert set(kept) <= set(fork._targets())


def test_threads_share_a_database(path: Path) -> None:
    database = open_database(open_sqlite(SQLiteConfig(path, deadline=60), TABLES))
    errors: list[BaseError] = []

    def write_and_read(number: int) -> None:
        try:
            for version in range(10):
                database.create_update_spec(sub="u2", name="a", version=f"{number}.{version}", model_count=1)
                database.list_specs(sub="u2")
        except BaseError as error:
            errors.append(error)

    threads = [threading.Thread(target=write_and_read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(database.list_spec_versions(sub="u2", name="a")) == 80
    database.close()
