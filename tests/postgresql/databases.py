"""Databases on the test servers, each empty and of its test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from open_alchemy.package_database.engines.port import Config, Sharded
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing import postgresql_server

SERVER_VARIABLE = "PACKAGE_DATABASE_TEST_POSTGRESQL"

_NO_MAINTENANCE = ("autovacuum=off", "full_page_writes=off", "checkpoint_timeout=1d", "max_wal_size=4GB", "jit=off")
"""Without these settings the maintenance of hundreds of databases takes more time than the tests."""


@contextmanager
def run_servers() -> Iterator[tuple[str, str]]:
    """Yields the URLs of two servers, or of one twice that ``PACKAGE_DATABASE_TEST_POSTGRESQL`` names.

    The first one allows two-phase commits.
    """
    if url := os.environ.get(SERVER_VARIABLE):
        yield url, url
        return
    with ExitStack() as stack:
        first = stack.enter_context(postgresql_server.run("max_prepared_transactions=20", *_NO_MAINTENANCE))
        second = stack.enter_context(postgresql_server.run(*_NO_MAINTENANCE))
        yield first.url(), second.url()


def create_database(server: str) -> str:
    """Creates an empty database on a server and returns its URL."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
    return f"{server.rpartition('/')[0]}/{name}"


def write_shard_map(folder: Path, urls: Sequence[str], shards: int, *settings: str) -> str:
    """Writes a file that distributes shards over databases, and returns its URL."""
    bounds = [1 + shards * place // len(urls) for place in range(len(urls) + 1)]
    lines = [f"shards = {shards}", *settings]
    for number, url in enumerate(urls):
        where = f'shards = "{bounds[number]}-{bounds[number + 1]}"'
        lines += ["[[servers]]", f'name = "db{number + 1}"', where, f'conninfo = "{url}"']
    path = folder / "shards.toml"
    path.write_text("\n".join(lines))
    return f"shards:///{path}"


def create_tables(url: str, *, shards: int) -> Config:
    """Creates the tables of a database, and returns its configuration."""
    config = from_url(url, os.environ)
    engine = config.open_engine(TABLES)
    administration = engine.administration()
    assert isinstance(administration, Sharded)
    administration.choose_shards(shards)
    for table in TABLES:
        administration.create(table)
    engine.close()
    return config


def clear_tables(config: Config) -> None:
    """Deletes everything in a database."""
    engine = config.open_engine(TABLES)
    for table in TABLES:
        engine.administration().clear(table)
    engine.close()
