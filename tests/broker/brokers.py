"""Brokers in threads of the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_alchemy.package_database.broker.key_files import BROKER_FILE, CLIENTS_FILE
from open_alchemy.package_database.broker.process import serve
from open_alchemy.package_database.broker.rights import ClientsFile
from open_alchemy.package_database.broker.server import Server
from open_alchemy.package_database.broker.store import Store
from open_alchemy.package_database.engines.async_adapter import ThreadedEngine
from open_alchemy.package_database.engines.broker.config import BrokerConfig
from open_alchemy.package_database.engines.broker.curve import Security
from open_alchemy.package_database.engines.broker.keys import read_broker_keys
from open_alchemy.package_database.engines.broker.zeromq import ZeroMQServer
from open_alchemy.package_database.engines.port import AsyncEngine, Config, Engine
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory
from open_alchemy.package_database.model.schema import TABLES


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


def memory_store(*, allows_administration: bool = True) -> Store:
    """Returns a new store in memory."""
    engine = open_memory(SQLiteConfig(), TABLES)
    return store_of(engine, ThreadedEngine(engine), allows_administration=allows_administration)


def store_at(config: Config) -> Store:
    """Returns the store of a configuration."""
    return store_of(config.open_engine(TABLES), config.open_async_engine(TABLES))


def store_of(engine: Engine, async_engine: AsyncEngine, *, allows_administration: bool = True) -> Store:
    """Returns the store of two engines."""
    return Store(lambda: async_engine, engine.administration, TABLES, allows_administration=allows_administration)


@contextmanager
def run_secure_broker(store: Store, keys: Path, **options: Any) -> Iterator[RunningBroker]:
    """Runs a broker with the keys in a folder."""
    clients = ClientsFile(keys / CLIENTS_FILE)
    security = Security(read_broker_keys(keys / BROKER_FILE), clients.allows)
    with run_broker(store, security=security, find_client=clients.find, **options) as running:
        yield running


@contextmanager
def run_broker(store: Store, *, security: Security | None = None, **options: Any) -> Iterator[RunningBroker]:
    """Runs a broker in front of a store."""
    server = Server({"": store}, **options)
    addresses: list[str] = []
    is_ready = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    def ready(address: str) -> None:
        addresses.append(address)
        is_ready.set()

    async def main() -> None:
        task = asyncio.ensure_future(serve(server, [ZeroMQServer("tcp://127.0.0.1:*", security)], ready))
        running.append((asyncio.get_running_loop(), task))
        await asyncio.wait([task])
        await store.engine.aclose()

    thread = threading.Thread(target=asyncio.run, args=[main()], name="broker")
    thread.start()
    try:
        assert is_ready.wait(10)
        loop, _ = running[0]
        yield RunningBroker(BrokerConfig(tuple(addresses)), server, loop)
    finally:
        running[0][0].call_soon_threadsafe(running[0][1].cancel)
        thread.join()
