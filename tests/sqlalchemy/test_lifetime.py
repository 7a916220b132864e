"""Engines are closed with their instance, dropped by a fork, follow a shard that moves, and repeat conflicts."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path

import pytest
import transaction
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from open_alchemy import package_database
from open_alchemy.package_database.engines.postgresql.shard_hash import schema_of, shard_of
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.exceptions import RefusedError
from open_alchemy.package_database.instances.api import use
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.sqlalchemy import get_session, get_table
from open_alchemy.package_database.testing.local_instances import LocalInstances
from tests.sqlalchemy.conftest import create_notes, notes, two_servers

FORKED_STORES = pytest.mark.parametrize(
    "instance", ["sqlite", "one_phase", pytest.param("two_phase", marks=pytest.mark.long)], indirect=True
)
"""A fork of this large process is slow, and the connections of both servers are alike."""


def add(value: str) -> None:
    get_session().execute(text("INSERT INTO notes (text) VALUES (:text)"), {"text": value})


def open_files(path: Path) -> int:
    folder = Path("/proc/self/fd")
    return sum(str(path) in str(found.readlink()) for found in folder.iterdir() if found.exists())


def in_child(work: Callable[[], None]) -> int:
    """Returns the exit status of a child that runs a function."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 (the parent must not run in the child)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_session_stays_on_its_instance_when_another_is_selected(sqlite_instance: Instance, tmp_path: Path) -> None:
    session = get_session()
    with use(Instance(from_url(f"sqlite:///{tmp_path}/other.db", {}))):
        create_notes()
        session = get_session()
        add("other")
        other = session
    add("first")
    transaction.commit()

    assert get_session() is not other
    assert notes() == ["first"]


def test_two_instances_commit_and_abort_together(sqlite_instance: Instance, tmp_path: Path) -> None:
    other = Instance(from_url(f"sqlite:///{tmp_path}/other.db", {}))
    with use(other):
        create_notes()
    add("first")
    with use(other):
        add("second")
    transaction.abort()

    assert notes() == []
    with use(other):
        assert notes() == []


def test_close_closes_the_connections(sqlite_instance: Instance, tmp_path: Path) -> None:
    add("one")
    transaction.commit()

    sqlite_instance.close()

    assert open_files(tmp_path / "instance.db") == 0
    assert notes() == ["one"]


def test_a_session_in_use_survives_the_close_of_its_instance(sqlite_instance: Instance, tmp_path: Path) -> None:
    add("one")
    sqlite_instance.close()
    transaction.commit()

    assert open_files(tmp_path / "instance.db") == 0
    assert notes() == ["one"]


def test_a_session_keeps_an_evicted_instance_open(_instances: LocalInstances) -> None:
    with package_database.instance("one"):
        create_notes()
        add("one")
        session = get_session()
        with package_database.instance("two"):
            create_notes_in_new_transaction()
        gc.collect()
        assert get_session() is session
        transaction.commit()
        assert notes() == ["one"]


def create_notes_in_new_transaction() -> None:
    thread = threading.Thread(target=copy_context().run, args=(create_notes,))
    thread.start()
    thread.join()


@FORKED_STORES
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_of_a_fork_opens_connections_of_its_own(instance: Instance) -> None:
    assert notes() == []

    def work() -> None:
        add("child")
        transaction.commit()

    assert in_child(work) == 0
    add("parent")
    transaction.commit()
    assert notes() == ["child", "parent"]


@FORKED_STORES
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_session_is_refused_in_the_child_of_a_fork(instance: Instance) -> None:
    add("parent")
    session = get_session()

    def work() -> None:
        with pytest.raises(RefusedError, match="fork"):
            session.execute(text("SELECT 1"))
        with pytest.raises(Exception, match="fork"):
            transaction.commit()
        with suppress(OperationalError):
            transaction.abort()
        gc.collect()

    assert in_child(work) == 0
    transaction.commit()
    assert notes() == ["parent"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_connection_in_use_during_a_fork_is_closed_with_its_transaction(
    sqlite_instance: Instance, tmp_path: Path
) -> None:
    add("parent")
    # The garbage collector would close the connection with its pool.
    pool = get_session().connection().engine.pool

    assert in_child(lambda: None) == 0
    before = open_files(tmp_path / "instance.db")
    transaction.commit()

    assert before > 0
    assert open_files(tmp_path / "instance.db") == 0
    assert pool is not get_session().connection().engine.pool


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_loops_close_their_engines(sqlite_instance: Instance, tmp_path: Path) -> None:
    from open_alchemy.package_database.sqlalchemy import get_async_session

    async def work() -> int:
        async with get_async_session() as session:
            await session.execute(text("SELECT 1"))
        return open_files(tmp_path / "instance.db")

    sqlite_instance.close()
    assert asyncio.run(work()) > 0
    assert open_files(tmp_path / "instance.db") == 0


def test_a_session_follows_a_shard_that_moved(postgresql_servers: tuple[str, str], tmp_path: Path) -> None:
    user = next(name for name in map(str, range(99)) if shard_of(name, 2) == 1)
    with two_servers(postgresql_servers, tmp_path) as (first, second):
        get_session(sub=user, allow_writes=True).execute(text("CREATE TABLE notes (text VARCHAR)"))
        transaction.commit()
        second.execute("CREATE SCHEMA shard0001")
        second.execute("CREATE TABLE shard0001.notes (text VARCHAR)")
        second.execute("INSERT INTO package_database.shards VALUES (1)")
        first.execute("DELETE FROM package_database.shards WHERE shard = 1")
        first.execute("ALTER SCHEMA shard0001 RENAME TO retired")

        get_session(sub=user).execute(get_table("notes", sub=user).insert(), {"text": "moved"})
        transaction.commit()

        assert first.execute("SELECT count(*) FROM retired.notes").fetchone() == (0,)
        assert second.execute("SELECT text FROM shard0001.notes").fetchall() == [("moved",)]
    assert schema_of(1) == "shard0001"


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_conflict_on_postgresql_is_repeated(one_phase_instance: Instance, code: str) -> None:
    raised = 0
    for attempt in transaction.manager.attempts(3):
        with attempt:
            add("repeated")
            if raised < 2:
                raised += 1
                get_session().execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$"))

    assert raised == 2
    assert notes() == ["repeated"]
