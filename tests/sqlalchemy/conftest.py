"""Instances of their own for the tests of tables and sessions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import transaction
from sqlalchemy import text

from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.instances.api import use
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.sqlalchemy import get_session
from tests.postgresql.databases import create_database, create_tables, empty_map, write_shard_map

NOTES = "CREATE TABLE notes (id {} PRIMARY KEY, text VARCHAR UNIQUE, deleted TIMESTAMP)"


def create_notes() -> None:
    """Creates a table in the current instance, and commits."""
    session = get_session()
    session.execute(text(NOTES.format("SERIAL" if session.get_bind().dialect.name == "postgresql" else "INTEGER")))
    transaction.commit()


def notes() -> list[str]:
    """Returns the committed notes of the current instance, in a transaction of its own."""
    manager = transaction.TransactionManager()
    try:
        return [row[0] for row in get_session(manager=manager).execute(text("SELECT text FROM notes ORDER BY id"))]
    finally:
        manager.abort()


@contextmanager
def two_servers(servers: tuple[str, str], folder: Path) -> Iterator[list[psycopg.Connection[Any]]]:
    """Yields connections to the servers of the current instance, which has one of its 2 shards on each."""
    with empty_map(servers, folder, 2) as url:
        config: Any = create_tables(url, shards=2)
        first, second = (psycopg.connect(server.conninfo, autocommit=True) for server in config.servers)
        with first, second, use(Instance(config)):
            yield [first, second]


@pytest.fixture(autouse=True)
def _no_transaction() -> Iterator[None]:
    """No transaction is left to another test."""
    transaction.abort()
    yield
    transaction.abort()


@pytest.fixture
def sqlite_instance(tmp_path: Path) -> Iterator[Instance]:
    """A SQLite file with the table ``notes``, as the current instance."""
    instance = Instance(from_url(f"sqlite:///{tmp_path}/instance.db", os.environ))
    with use(instance):
        create_notes()
        yield instance


@pytest.fixture(scope="session")
def _postgresql_urls(postgresql_servers: tuple[str, str]) -> tuple[str, str]:
    urls = tuple(create_database(server) for server in postgresql_servers)
    for url in urls:
        create_tables(url, shards=2)
        with use(Instance(from_url(url, os.environ))):
            create_notes()
    return urls[0], urls[1]


@contextmanager
def _on_server(url: str) -> Iterator[Instance]:
    instance = Instance(from_url(url, os.environ))
    with use(instance):
        get_session().execute(text("DELETE FROM notes"))
        transaction.commit()
        yield instance


@pytest.fixture
def two_phase_instance(_postgresql_urls: tuple[str, str]) -> Iterator[Instance]:
    """A PostgreSQL server with two-phase commits and the table ``notes``, as the current instance."""
    with _on_server(_postgresql_urls[0]) as instance:
        yield instance


@pytest.fixture
def one_phase_instance(_postgresql_urls: tuple[str, str]) -> Iterator[Instance]:
    """A PostgreSQL server without two-phase commits, as the current instance."""
    with _on_server(_postgresql_urls[1]) as instance:
        yield instance


@pytest.fixture(params=["sqlite", "one_phase", "two_phase"])
def instance(request: pytest.FixtureRequest) -> Instance:
    """Each store in turn, as the current instance."""
    found: Instance = request.getfixturevalue(f"{request.param}_instance")
    return found


@pytest.fixture(scope="session")
def _shards_url(postgresql_servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    urls = [create_database(server) for server in postgresql_servers]
    url = write_shard_map(tmp_path_factory.mktemp("map"), urls, 4)
    create_tables(url, shards=4)
    return url


@pytest.fixture
def shards_instance(_shards_url: str) -> Iterator[Instance]:
    """Two servers with 4 shards, as the current instance."""
    instance = Instance(from_url(_shards_url, os.environ))
    with use(instance):
        yield instance
