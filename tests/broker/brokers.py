"""Brokers in threads of the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.broker.coherent_engine import coherent
from open_alchemy.package_database.broker.function_executor import load
from open_alchemy.package_database.broker.listeners import open_transport
from open_alchemy.package_database.broker.main import Options, open_server, read_access, serve
from open_alchemy.package_database.broker.served_instances import only
from open_alchemy.package_database.broker.served_store import ServedStore
from open_alchemy.package_database.broker.server import Server
from open_alchemy.package_database.coherence import leases
from open_alchemy.package_database.coherence.leases import Timing
from open_alchemy.package_database.database import open_async_database, open_database
from open_alchemy.package_database.engines.async_adapter import ThreadedEngine
from open_alchemy.package_database.engines.broker import read_cache
from open_alchemy.package_database.engines.broker.config import BrokerConfig, Bus
from open_alchemy.package_database.engines.broker.curve import Security
from open_alchemy.package_database.engines.broker.read_cache import ReadCache
from open_alchemy.package_database.engines.broker.transport_registry import open_bus_server
from open_alchemy.package_database.engines.port import AsyncEngine, Config, Engine
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory
from open_alchemy.package_database.instances import api, lookup
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.model.schema import TABLES
from tests.apis import blocking
from tests.broker.hostile import wait_until

ADDRESS = "tcp://127.0.0.1:*"


@dataclass
class RunningBroker:
    """A broker in a thread.

    Attributes:
        config: The configuration of its clients.
        server: The server.
        loop: Its event loop.
    """

    config: BrokerConfig
    server: Server
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return self.config.location


class OpenInstance(Instance):
    """An instance whose engines are open."""

    def __init__(self, engine: Engine, async_engine: AsyncEngine, id: str | None = None) -> None:  # noqa: A002
        super().__init__(async_engine.config, id)
        self._engine = engine
        self._async_engine = async_engine


def memory_store(*, allows_administration: bool = True) -> ServedStore:
    """Returns a new store in memory."""
    engine = open_memory(SQLiteConfig(), TABLES)
    return store_of(engine, ThreadedEngine(engine), allows_administration=allows_administration)


def store_at(config: Config) -> ServedStore:
    """Returns the store of a configuration."""
    return store_of(config.open_engine(TABLES), config.open_async_engine(TABLES))


def store_of(engine: Engine, async_engine: AsyncEngine, *, allows_administration: bool = True) -> ServedStore:
    """Returns the store of two engines."""
    caching, coherent_async, coherent_blocking = coherent(async_engine, engine, TABLES)
    return ServedStore(
        lambda: coherent_async,
        coherent_blocking.administration,
        TABLES,
        allows_administration=allows_administration,
        caching=caching,
    )


@contextmanager
def run_secure_broker(store: ServedStore, keys: Path, **options: Any) -> Iterator[RunningBroker]:
    """Runs a broker with the keys in a folder."""
    access = read_access(keys)
    assert access is not None
    with run_broker(store, security=access.security, find_client=access.clients.find, **options) as running:
        yield running


@contextmanager
def run_broker(
    store: ServedStore,
    bus: Bus | None = None,
    *,
    address: str = "",
    security: Security | None = None,
    create: Callable[..., Server] = Server,
    **options: Any,
) -> Iterator[RunningBroker]:
    """Runs a broker in front of a store, on a message bus, at an address or both; by default at a free address."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Server]:
        yield create({"": store}, **options)
        await store.engine.aclose()

    with _run(opened, bus, address, security) as broker:
        yield broker


@contextmanager
def run_application(
    config: Config, *modules: str, bus: Bus | None = None, address: str = ""
) -> Iterator[RunningBroker]:
    """Runs a broker that exposes the functions of modules."""
    with _run(lambda: open_server(only(Instance(config)), TABLES, Options(()), load(modules)), bus, address) as broker:
        yield broker


@contextmanager
def database_of_process(config: Config) -> Iterator[None]:
    """Makes a store the database of this process."""
    with api.replaced(lambda: lookup.SingleStore(config)):
        yield


def close_process_database() -> None:
    """Closes the connections of ``get()``."""
    api.current().close()


@contextmanager
def _run(
    opened: Callable[[], AbstractAsyncContextManager[Server]],
    bus: Bus | None,
    address: str = "",
    security: Security | None = None,
) -> Iterator[RunningBroker]:
    addresses: list[str] = []
    expected = 2 if bus is not None and address else 1
    is_ready = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None], Server]] = []

    def ready(address: str) -> None:
        addresses.append(address)
        if len(addresses) == expected:
            is_ready.set()

    async def main() -> None:
        transports = [] if bus is None else [open_bus_server(bus)]
        if address or bus is None:
            transports.append(open_transport(address or ADDRESS, security))
        async with opened() as server:
            task = asyncio.ensure_future(serve(server, transports, ready))
            running.append((asyncio.get_running_loop(), task, server))
            await asyncio.wait([task])

    thread = threading.Thread(target=asyncio.run, args=[main()], name="broker")
    thread.start()
    try:
        assert is_ready.wait(60)
        loop, _, server = running[0]
        # No call fails because a busy machine delays it.
        yield RunningBroker(BrokerConfig(tuple(addresses), deadline=60.0, bus=bus), server, loop)
    finally:
        running[0][0].call_soon_threadsafe(running[0][1].cancel)
        thread.join()


QUICK = Timing(lease=0.4, view=0.04, beat=0.02, renew=0.05, silence=0.1, patience=0.1, hold=1.0, rejoin=0.7)
"""Durations with which a client caches soon after it connects."""


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives leases that do not end, and brokers that are not evicted, on a busy machine."""
    monkeypatch.setattr(leases, "DEFAULT", QUICK._replace(lease=60.0, silence=60.0, hold=200.0, rejoin=200.0))
    monkeypatch.setattr(read_cache, "_LEASE_SECONDS", 60.0)


def cache_of(database: object) -> ReadCache | None:
    """Returns the cache of a database, if it has one by now."""
    engine: Any = getattr(database, "_database", database).engine  # type: ignore[attr-defined]
    cache: ReadCache | None = getattr(engine, "cache", None)
    return cache


def wait_until_cached(database: TDatabase) -> None:
    """Reads until the results are cached."""

    def is_cached() -> bool:
        database.get_spec(sub="nobody", name="nothing")
        cache = cache_of(database)
        return cache is not None and cache.info().entries > 0

    wait_until(is_cached)


def opened_sync(stack: ExitStack, config: BrokerConfig) -> TDatabase:
    """Opens a database for threads, and closes it at the end."""
    return stack.enter_context(open_database(config.open_engine(TABLES)))


def opened_async(stack: ExitStack, config: BrokerConfig) -> TDatabase:
    """Opens a database for asyncio with the sync API, and closes it at the end."""
    return stack.enter_context(blocking(open_async_database(config.open_async_engine(TABLES))))


both = pytest.mark.parametrize("opened", [opened_sync, opened_async])
Opened = Callable[[ExitStack, BrokerConfig], TDatabase]


def lose_first_answer(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Has a broker not send its next answer, and returns a list that contains this answer then."""
    send = broker.server.send
    lost: list[Any] = []

    def lose_first(peer: Any, id_: int, *arguments: Any) -> None:
        # A report of work on a slow machine has the id 0.
        if lost or not id_:
            send(peer, id_, *arguments)
        else:
            lost.append((peer, id_, *arguments))

    monkeypatch.setattr(broker.server, "send", lose_first)
    return lost
