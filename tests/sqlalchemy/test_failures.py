"""What fails below a session: locked files, lost connections, moved shards, servers that do not answer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import transaction
from sqlalchemy import Text, TypeDecorator, bindparam, exc, text
from sqlalchemy.ext.asyncio import AsyncSession

from open_alchemy.package_database.engines.postgresql.shard_hash import shard_of
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.exceptions import RefusedError, UnavailableError
from open_alchemy.package_database.instances.api import use
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.sqlalchemy import get_async_session, get_session, sqlite
from open_alchemy.package_database.sqlalchemy.retryable_errors import RetryError, ShardMovedError
from tests.sqlalchemy.conftest import notes, two_servers

USER = next(name for name in map(str, range(99)) if shard_of(name, 2) == 1)


async def select_one(sub: str | None = None) -> object:
    async with get_async_session(sub=sub) as session:
        return (await session.execute(text("SELECT 1"))).scalar()


def test_a_locked_file_is_an_error_to_retry(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with use(Instance(from_url(url, {"PACKAGE_DATABASE_DEADLINE": "0.2"}))):
        get_session().execute(text("CREATE TABLE notes (text VARCHAR)"))
        transaction.commit()
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(RetryError, match="has the file locked"):
                get_session().execute(text("INSERT INTO notes VALUES ('a')"))


def test_a_file_that_cannot_be_opened_is_an_error_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite, "connect_to_file", fail)
    with use(Instance(from_url(f"sqlite:///{tmp_path}/a.db", {}))), pytest.raises(RefusedError, match="opening"):
        get_session().execute(text("SELECT 1"))


class Refused(TypeDecorator[str]):
    """A type that takes no value."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str:
        raise ValueError


def test_an_error_of_a_type_is_that_of_sqlalchemy(sqlite_instance: Instance) -> None:
    with pytest.raises(exc.StatementError) as caught:
        get_session().execute(text("SELECT :a").bindparams(bindparam("a", "b", Refused())))

    assert isinstance(caught.value.orig, ValueError)


def test_a_connection_that_the_server_closed_is_replaced(one_phase_instance: Instance) -> None:
    (process,) = get_session().execute(text("SELECT pg_backend_pid()")).one()
    transaction.commit()
    location: Any = one_phase_instance.config
    with psycopg.connect(location.servers[0].conninfo, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (process,))

    assert notes() == []


def test_a_server_that_does_not_answer_is_unavailable_to_an_async_session() -> None:
    config = from_url("postgresql://user:canary@127.0.0.1:1/name", {"PACKAGE_DATABASE_DEADLINE": "1"})
    with use(Instance(config)), pytest.raises(UnavailableError) as caught:
        asyncio.run(select_one())

    assert "canary" not in str(caught.value)


def test_an_instance_closes_its_connections_in_a_loop(one_phase_instance: Instance) -> None:
    async def work() -> list[object]:
        found = [await select_one(), await select_one(sub="u1")]
        await one_phase_instance.aclose()
        return [*found, await select_one()]

    assert asyncio.run(work()) == [1, 1, 1]


def test_an_instance_that_a_thread_closes_has_loops_close_their_connections(one_phase_instance: Instance) -> None:
    async def work() -> object:
        async with get_async_session() as session:
            pool: Any = (await session.connection()).engine.pool
        assert pool.checkedin() == 1
        await asyncio.to_thread(one_phase_instance.close)
        while pool.checkedin():  # noqa: ASYNC110 (the pool reports nothing)
            await asyncio.sleep(0)
        return await select_one()

    assert asyncio.run(work()) == 1


@pytest.fixture
def servers(postgresql_servers: tuple[str, str], tmp_path: Path) -> Iterator[list[psycopg.Connection[Any]]]:
    """Connections to the servers of the current instance, whose shard 1 was located on the first server."""
    with two_servers(postgresql_servers, tmp_path) as connections:
        get_session(sub=USER)
        transaction.abort()
        yield connections


def test_an_async_session_follows_a_shard_that_moved(servers: list[psycopg.Connection[Any]]) -> None:
    first, second = servers
    second.execute("CREATE SCHEMA shard0001")
    second.execute("CREATE TABLE shard0001.moved ()")
    second.execute("INSERT INTO package_database.shards VALUES (1)")
    first.execute("DELETE FROM package_database.shards WHERE shard = 1")

    async def work() -> object:
        async with get_async_session(sub=USER) as session:
            return (await session.execute(text("SELECT to_regclass('moved') IS NOT NULL"))).scalar()

    assert asyncio.run(work()) is True


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("ALTER SCHEMA shard0001 RENAME TO lost", ShardMovedError),
        ("DROP TABLE package_database.shards", RefusedError),
    ],
)
def test_a_shard_that_cannot_be_entered_is_an_error_without_a_session(
    servers: list[psycopg.Connection[Any]], change: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[AsyncSession] = []
    close = AsyncSession.close

    async def record(session: AsyncSession) -> None:
        opened.append(session)
        await close(session)

    monkeypatch.setattr(AsyncSession, "close", record)
    servers[0].execute(change.encode())

    with pytest.raises(error):
        asyncio.run(select_one(sub=USER))
    assert opened
    with pytest.raises(error):
        get_session(sub=USER)
    transaction.abort()
