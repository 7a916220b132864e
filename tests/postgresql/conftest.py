"""Databases of their own for the tests of the PostgreSQL store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from open_alchemy.package_database.database import Database
from open_alchemy.package_database.engines.port import Config
from tests.apis import connect_to
from tests.postgresql.databases import clear_tables, create_database, create_tables, write_shard_map


@pytest.fixture
def empty_url(postgresql_servers: tuple[str, str]) -> str:
    """The URL of a database without tables."""
    return create_database(postgresql_servers[0])


@pytest.fixture
def empty_map_url(postgresql_servers: tuple[str, str], tmp_path: Path) -> str:
    """The URL of a shard map of two databases without tables, with 4 shards."""
    return write_shard_map(tmp_path, [create_database(server) for server in postgresql_servers], 4)


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
