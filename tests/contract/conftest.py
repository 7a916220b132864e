"""Opens each store through each of its APIs. A contract test takes the fixture ``database`` and names no store.

Secrets of contract tests are canaries, and every logger is at DEBUG: a trace of a canary in the log fails the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import groupby, product
from operator import itemgetter
from typing import cast
from uuid import uuid4

import pytest

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.core.operations import MAX_TRANSACT_ACTIONS, Delete, Scan, Transact
from open_alchemy.package_database.engines.dynamodb.config import DynamoDBConfig
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import MemoryConfig
from tests.apis import APIS, aconnect_to, blocking, config_of, connect_to, execute, open_api
from tests.canary import find, record_logs

Open = Callable[[pytest.FixtureRequest], AbstractContextManager[TDatabase]]


@pytest.fixture(scope="session")
def _dynamodb(_database: str, _specs_table: None, _credentials_table: None) -> DynamoDBConfig:
    return config_of(_database)


@pytest.fixture(scope="session")
def _postgresql(
    postgresql_servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Config]:
    """Returns the configuration of a database on one server, or of one on two servers."""
    from tests.postgresql.databases import create_database, create_tables, write_shard_map

    @cache
    def create(servers: int) -> Config:
        urls = [create_database(server) for server in postgresql_servers[:servers]]
        url = write_shard_map(tmp_path_factory.mktemp("shards"), urls, 8) if servers > 1 else urls[0]
        return create_tables(url, shards=4 * servers)

    return create


def _open(config: Config, *, is_async: bool) -> AbstractContextManager[TDatabase]:
    return blocking(aconnect_to(config)) if is_async else connect_to(config)


def _dynamodb_store(request: pytest.FixtureRequest) -> DynamoDBConfig:
    config: DynamoDBConfig = request.getfixturevalue("_dynamodb")
    return config


def _postgresql_store(servers: int) -> Callable[[pytest.FixtureRequest], Config]:
    return lambda request: cast("Config", request.getfixturevalue("_postgresql")(servers))


def _sqlite_file(request: pytest.FixtureRequest) -> Config:
    folder = request.getfixturevalue("tmp_path_factory").mktemp("sqlite")
    return from_url(f"sqlite:///{folder / 'a.db'}", {})


_CONFIGS: dict[str, Callable[[pytest.FixtureRequest], Config]] = {
    "sqlite, file": _sqlite_file,
    "sqlite, memory": lambda _: SQLiteConfig(memory=uuid4().hex),
    "postgresql": _postgresql_store(1),
    "postgresql, two servers": _postgresql_store(2),
    "memory": lambda _: MemoryConfig(),
}
_SERVED: dict[str, Callable[[pytest.FixtureRequest], Config | None]] = {
    "sqlite, memory": lambda _: None,
    "sqlite, file": _sqlite_file,
    "dynamodb": _dynamodb_store,
    "postgresql": _postgresql_store(2),
}
"""The stores behind a broker; None is SQLite in memory."""
_WAYS = ("broker", "cache", "nats", "nats cache", "amqp", "amqp cache")
"""How a broker is reached; ``cache`` is a client with a cache."""


def _behind_broker(way: str, store: str, *, is_async: bool) -> Open:
    @contextmanager
    def open_store(request: pytest.FixtureRequest) -> Iterator[TDatabase]:
        from tests.contract.brokers import run  # scripts/smoke does not install what a broker needs.

        with run(way, _SERVED[store](request), request) as config, _open(config, is_async=is_async) as database:
            yield database

    return open_store


def _directly(config: Callable[[pytest.FixtureRequest], Config], *, is_async: bool) -> Open:
    return lambda request: _open(config(request), is_async=is_async)


def _by_api(api: str) -> Open:
    return lambda request: open_api(api, _dynamodb_store(request))


_STORES: dict[str, Open] = {
    **{f"dynamodb, {api}": _by_api(api) for api in APIS},
    **{
        f"{name}{', async' * is_async}": _directly(config, is_async=is_async)
        for (name, config), is_async in product(_CONFIGS.items(), (False, True))
    },
    **{
        f"{way}, {store}{', async' * is_async}": _behind_broker(way, store, is_async=is_async)
        for way, store, is_async in product(_WAYS, _SERVED, (False, True))
    },
}


_SELECTION = {
    *("dynamodb, lean", "dynamodb, lean, async", "sqlite, file", "sqlite, memory, async"),
    *("postgresql", "postgresql, two servers, async"),
    *(f"{way}, sqlite, memory{api}" for way in ("broker", "cache") for api in ("", ", async")),
    *("memory", "memory, async"),
}
"""Each API and each layout of a store; ``tests/faults/test_sockets.py`` uses boto3. The others run with ``--long``."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "_store" in metafunc.fixturenames:
        is_long = metafunc.config.getoption("long")
        stores = [store for store in _STORES if is_long or store in _SELECTION]
        metafunc.parametrize("_store", stores, indirect=True, scope="package")


@pytest.fixture(scope="package")
def _store(request: pytest.FixtureRequest) -> Iterator[tuple[str, TDatabase]]:
    """A store through one of its APIs, with its name. The tests of one store run in one worker."""
    with _STORES[request.param](request) as opened:
        yield request.param, opened


@pytest.fixture
def database(_store: tuple[str, TDatabase]) -> TDatabase:
    """An empty database, of each store and through each of its APIs."""
    name, opened = _store
    _clear(opened)
    if "cache" in name:
        from tests.broker.brokers import wait_until_cached

        wait_until_cached(opened)
    return opened


def _clear(database: TDatabase) -> None:
    """Deletes all items over the API, which invalidates caches and updates indexes."""
    for table in TABLES:
        while items := execute(database, Scan(table, MAX_TRANSACT_ACTIONS)).items:
            for _, partition in groupby(items, key=itemgetter(table.partition_key)):
                execute(database, Transact(tuple(Delete(table, table.key_of(item)) for item in partition)))


@pytest.fixture(autouse=True)
def _no_secret_is_logged_or_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    with record_logs() as logged:
        yield
    assert find(logged() + "".join(capfd.readouterr())) == []
