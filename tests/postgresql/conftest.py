"""Databases of their own for the tests of the PostgreSQL store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from open_alchemy.package_database.database import Database
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.registry import from_url
from tests.apis import connect_to
from tests.postgresql.databases import (
    END_OTHER_SESSIONS,
    clear_tables,
    create_database,
    create_tables,
    empty_database,
    empty_map,
    execute,
    temporary_role,
    write_shard_map,
)


@pytest.fixture
def empty_url(postgresql_servers: tuple[str, str]) -> Iterator[str]:
    """The URL of a database without tables."""
    with empty_database(postgresql_servers[0]) as url:
        yield url


@pytest.fixture
def empty_map_url(postgresql_servers: tuple[str, str], tmp_path: Path) -> Iterator[str]:
    """The URL of a shard map of two databases without tables, with 4 shards."""
    with empty_map(postgresql_servers, tmp_path, 4) as url:
        yield url


@pytest.fixture(scope="session")
def _shared_url(postgresql_servers: tuple[str, str]) -> str:
    url = create_database(postgresql_servers[0])
    create_tables(url, shards=1)
    return url


@pytest.fixture
def url(_shared_url: str) -> str:
    """The URL of a database with one shard, without items and tokens. A test must not change its schema."""
    # A session of a failed test may hold locks.
    execute(_shared_url, END_OTHER_SESSIONS, "DELETE FROM shard0001.tokens")
    clear_tables(from_url(_shared_url, os.environ))
    return _shared_url


@pytest.fixture
def own_url(empty_url: str) -> str:
    """The URL of a database with one shard, which the test may change."""
    create_tables(empty_url, shards=1)
    return empty_url


@pytest.fixture
def role(postgresql_servers: tuple[str, str]) -> Iterator[str]:
    """The name of a new role on the servers, which may log in."""
    with temporary_role(set(postgresql_servers)) as name:
        yield name


@pytest.fixture(scope="session")
def _shared_config(postgresql_servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Config:
    urls = [create_database(server) for server in postgresql_servers]
    return create_tables(write_shard_map(tmp_path_factory.mktemp("map"), urls, 4), shards=4)


@pytest.fixture
def config(_shared_config: Config) -> Config:
    """An empty database on two servers, with 4 shards."""
    clear_tables(_shared_config)
    return _shared_config


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    """The same, opened."""
    with connect_to(config) as opened:
        yield opened
