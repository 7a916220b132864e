"""Concurrent writers of one spec on a slow store: ``python -m benchmarks.contention``.

The store is the package's local DynamoDB behind a proxy that returns each response 10 ms later. Prints how many calls
failed, and the slowest call and its transactions. ``tests/simulation/test_contention.py`` tests the same in virtual
time. It is no suite: it compares nothing, and its times contain those of moto.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

from open_alchemy import package_database
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing import dynamodb_server

WRITERS: Final = 16
VERSIONS: Final = 12
LATENCY: Final = 0.01
_CHUNK: Final = 1 << 16


class TransactionCounter(logging.Handler):
    """Counts the transactions of each thread, from the package's log records."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.of_thread = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Called for each attempt."""
        self.of_thread.count = self.take() + record.getMessage().startswith("TransactWriteItems")

    def take(self) -> int:
        """Returns the number of transactions of this thread since the last call, and sets it to 0."""
        count: int = getattr(self.of_thread, "count", 0)
        self.of_thread.count = 0
        return count


async def _delay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Copies a stream, each chunk after a delay."""
    loop = asyncio.get_running_loop()
    try:
        while data := await reader.read(_CHUNK):
            loop.call_later(seconds, writer.write, data)
        await asyncio.sleep(seconds)
    except OSError:
        pass
    writer.close()


async def _proxy(port: int, started: threading.Event, proxy: dict[str, Any]) -> None:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_delay(reader, upstream_writer, 0), _delay(upstream_reader, writer, LATENCY))

    server = await asyncio.start_server(connect, "127.0.0.1", 0, backlog=128)
    proxy["port"] = server.sockets[0].getsockname()[1]
    proxy["loop"], proxy["stop"] = asyncio.get_running_loop(), asyncio.Event()
    started.set()
    async with server:
        await proxy["stop"].wait()


@contextmanager
def slow_proxy(url: str) -> Iterator[str]:
    """Runs a proxy to a local server in a thread, and yields its URL."""
    started, proxy = threading.Event(), dict[str, Any]()
    port = urlsplit(url).port
    thread = threading.Thread(target=lambda: asyncio.run(_proxy(port or 0, started, proxy)))
    thread.start()
    started.wait()
    try:
        yield f"dynamodb://127.0.0.1:{proxy['port']}"
    finally:
        proxy["loop"].call_soon_threadsafe(proxy["stop"].set)
        thread.join()


def write(database: Any, counter: TransactionCounter, number: int) -> list[tuple[float, int, Exception | None]]:
    """Publishes versions; returns the seconds, the transactions and the error of each call."""
    calls: list[tuple[float, int, Exception | None]] = []
    for version in range(VERSIONS):
        begin, error = time.monotonic(), None
        counter.take()
        try:
            database.create_update_spec(sub="u1", name="a", version=f"{number}.{version}", model_count=1)
        except package_database.BaseError as raised:
            error = raised
        calls.append((time.monotonic() - begin, counter.take(), error))
    return calls


def main() -> None:
    """Runs the writers, and prints what their calls took."""
    counter, logger = TransactionCounter(), logging.getLogger("open_alchemy.package_database")
    logger.addHandler(counter)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    os.environ.setdefault("STAGE", "TEST")
    with dynamodb_server.run() as url:
        administration = dynamodb_server.config_of(url).open_engine(TABLES).administration()
        for table in TABLES:
            administration.create(table)
        with slow_proxy(url) as slow, package_database.connect(slow) as database, ThreadPoolExecutor(WRITERS) as pool:
            found = pool.map(lambda number: write(database, counter, number), range(WRITERS))
            calls = [call for written in found for call in written]
            stored = len(database.list_spec_versions(sub="u1", name="a"))
    seconds, transactions, errors = zip(*calls, strict=True)
    print(f"calls {len(calls)}, failed {sum(error is not None for error in errors)}, versions stored {stored}")
    print(f"slowest {max(seconds):.2f} s, median {median(seconds):.2f} s")
    print(f"transactions of a call: median {median(transactions):g}, most {max(transactions)}")


if __name__ == "__main__":
    main()
