"""Opens each store through each of its APIs. A contract test takes the fixture ``database`` and names no store.

Secrets of contract tests are canaries, and every logger is at DEBUG: a trace of a canary in the log fails the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache
from itertools import product
from typing import Any, cast
from uuid import uuid4

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.broker.store import Store
from open_alchemy.package_database.coherence import leases
from open_alchemy.package_database.database import open_async_database, open_database
from open_alchemy.package_database.engines.async_adapter import ThreadedEngine
from open_alchemy.package_database.engines.broker.config import Bus, CacheOptions
from open_alchemy.package_database.engines.port import Administration, Config
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine, open_memory
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine
from tests.apis import APIS, aconnect_to, blocking, connect_to, open_api
from tests.broker.brokers import QUICK, memory_store, run_broker, store_at, wait_until_cached
from tests.broker.bus_processes import NATSProcess, RabbitMQProcess
from tests.canary import find, record_logs
from tests.postgresql.databases import create_database, create_tables, write_shard_map

Open = Callable[[pytest.FixtureRequest], AbstractContextManager[TDatabase]]


@pytest.fixture(scope="session")
def _dynamodb_apis(_database: str) -> Iterator[Callable[[str], TDatabase]]:
    """Opens each API of the local DynamoDB once: the creation of a boto3 client takes longer than most tests."""
    with ExitStack() as stack:
        config = cast("Any", package_database.get()).engine.config
        yield cache(lambda api: stack.enter_context(open_api(api, config)))


def _dynamodb(api: str) -> Open:
    def open_store(request: pytest.FixtureRequest) -> AbstractContextManager[TDatabase]:
        request.getfixturevalue("_clean_specs_table")
        request.getfixturevalue("_clean_credentials_table")
        return nullcontext(request.getfixturevalue("_dynamodb_apis")(api))

    return open_store


@pytest.fixture(scope="session")
def _postgresql_apis(
    postgresql_servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[int, bool], TDatabase]]:
    """Opens each API of a database on one server, and of one on two servers, once, and empties it for each test."""

    @cache
    def create(servers: int) -> tuple[Config, Administration]:
        urls = [create_database(server) for server in postgresql_servers[:servers]]
        url = write_shard_map(tmp_path_factory.mktemp("shards"), urls, 8) if servers > 1 else urls[0]
        config = create_tables(url, shards=4 * servers)
        engine = config.open_engine(TABLES)
        stack.callback(engine.close)
        return config, engine.administration()

    @cache
    def open_once(servers: int, is_async: bool) -> TDatabase:  # noqa: FBT001 (a key of the cache)
        config, _ = create(servers)
        return stack.enter_context(blocking(aconnect_to(config)) if is_async else connect_to(config))

    def open_empty(servers: int, is_async: bool) -> TDatabase:  # noqa: FBT001 (as above)
        for table in TABLES:
            create(servers)[1].clear(table)
        return open_once(servers, is_async)

    with ExitStack() as stack:
        yield open_empty


def _postgresql(servers: int, *, is_async: bool) -> Open:
    return lambda request: nullcontext(request.getfixturevalue("_postgresql_apis")(servers, is_async))


def _sqlite_file(request: pytest.FixtureRequest) -> str:
    return f"sqlite:///{request.getfixturevalue('tmp_path') / 'a.db'}"


def _sqlite_memory() -> SQLiteEngine:
    return open_memory(SQLiteConfig(), TABLES)


def _dynamodb_store(request: pytest.FixtureRequest) -> Store:
    return store_at(cast("Any", _dynamodb("lean")(request).__enter__()).engine.config)


def _postgresql_store(request: pytest.FixtureRequest) -> Store:
    return store_at(cast("Any", _postgresql(2, is_async=False)(request).__enter__()).engine.config)


_SERVED: dict[str, Callable[[pytest.FixtureRequest], Store]] = {
    "sqlite, memory": lambda _: memory_store(),
    "sqlite, file": lambda request: store_at(from_url(_sqlite_file(request), {})),
    "dynamodb": _dynamodb_store,
    "postgresql": _postgresql_store,
}
"""The stores behind a broker."""


def _nats_bus(request: pytest.FixtureRequest) -> Bus:
    server: NATSProcess = request.getfixturevalue("nats_server")
    return server.bus(uuid4().hex)


def _amqp_bus(request: pytest.FixtureRequest) -> Bus:
    server: RabbitMQProcess = request.getfixturevalue("rabbitmq")
    return server.bus(uuid4().hex)


_BUSES: dict[str, Callable[[pytest.FixtureRequest], Bus | None]] = {
    **dict.fromkeys(("broker", "cache"), lambda _: None),
    **dict.fromkeys(("nats", "nats cache"), _nats_bus),
    **dict.fromkeys(("amqp", "amqp cache"), _amqp_bus),
}
"""How a broker is reached; ``cache`` is a client with a cache."""


def _behind_broker(bus: str, store: str, *, is_async: bool) -> Open:
    @contextmanager
    def open_store(request: pytest.FixtureRequest) -> Iterator[TDatabase]:
        with ExitStack() as stack:
            # While the registry takes longer to read than a view may be old, no write is acknowledged.
            timing = QUICK if "sqlite" in store else QUICK._replace(view=0.5, beat=0.1)
            stack.enter_context(pytest.MonkeyPatch.context()).setattr(leases, "DEFAULT", timing)
            config = stack.enter_context(run_broker(_SERVED[store](request), _BUSES[bus](request))).config
            config = config._replace(cache=CacheOptions() if "cache" in bus else None)
            database = stack.enter_context(blocking(aconnect_to(config)) if is_async else connect_to(config))
            if "cache" in bus:
                wait_until_cached(database)
            yield database

    return open_store


_STORES: dict[str, Open] = {
    **{f"dynamodb, {api}": _dynamodb(api) for api in APIS},
    "sqlite, file": lambda request: package_database.connect(_sqlite_file(request)),
    "sqlite, file, async": lambda request: blocking(package_database.aconnect(_sqlite_file(request))),
    "sqlite, memory": lambda _: open_database(_sqlite_memory()),
    "sqlite, memory, async": lambda _: blocking(open_async_database(ThreadedEngine(_sqlite_memory()))),
    "postgresql": _postgresql(1, is_async=False),
    "postgresql, async": _postgresql(1, is_async=True),
    "postgresql, two servers": _postgresql(2, is_async=False),
    "postgresql, two servers, async": _postgresql(2, is_async=True),
    **{
        f"{bus}, {store}{', async' * is_async}": _behind_broker(bus, store, is_async=is_async)
        for bus, store, is_async in product(_BUSES, _SERVED, (False, True))
    },
    "memory": lambda _: nullcontext(open_database(MemoryEngine())),
    "memory, async": lambda _: blocking(open_async_database(AsyncMemoryEngine())),
}


_LONG = {
    *("dynamodb, boto3", "dynamodb, boto3, async", "postgresql, async", "postgresql, two servers"),
    *(name for name in _STORES if name.startswith(("broker", "cache")) and "memory" not in name),
    *(name for name in _STORES if name.startswith(("nats", "amqp"))),
}
"""Each API and layout of a store remains in the ordinary run; ``tests/faults/test_sockets.py`` uses boto3."""


def _parameter(store: str) -> Any:
    return pytest.param(store, marks=[pytest.mark.long] if store in _LONG else [])


@pytest.fixture(params=map(_parameter, _STORES))
def database(request: pytest.FixtureRequest) -> Iterator[TDatabase]:
    """An empty database, of each store and through each of its APIs."""
    with _STORES[request.param](request) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_secret_is_logged_or_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    with record_logs() as logged:
        yield
    assert find(logged() + "".join(capfd.readouterr())) == []
