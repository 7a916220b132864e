"""Reads and writes at random with many clients, and prints what they read as JSON.

    python benchmarks/peers/cache_hits.py URL TTL CLIENTS SECONDS

Each client reads one of 20 specs at random; 1 % of the calls are writes. With a TTL above 0, a client uses a result for
so many seconds without asking again. The output contains for each half second the numbers of the reads, of those
without a request, and of the stale ones: those of an older version than one whose write was acknowledged before the
read began.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final

from open_alchemy import package_database
from open_alchemy.package_database import ExpiringDict

_SUB: Final = "u"
_KEYS: Final = 20
_PAUSE: Final = 0.05
_WRITES: Final = 0.01
_INTERVAL: Final = 0.5


class Population:
    """Clients that read and write at random, and keep each write that was acknowledged.

    Attributes:
        intervals: The numbers of reads, of hits and of stale reads.
    """

    def __init__(self, databases: list[Any], ttl: float, seconds: float) -> None:
        self.intervals = [[0, 0, 0] for _ in range(round(seconds / _INTERVAL))]
        self._databases, self._ttl, self._seconds = databases, ttl, seconds
        self._acknowledged = dict.fromkeys(range(_KEYS), 0)
        self._locks = [asyncio.Lock() for _ in range(_KEYS)]

    async def run(self) -> None:
        """Runs all clients."""
        start = time.perf_counter()
        await asyncio.gather(*(self._client(Random(n), each, start) for n, each in enumerate(self._databases)))  # noqa: S311

    async def _client(self, random: Random, database: Any, start: float) -> None:
        memory: ExpiringDict[int, int] = ExpiringDict(self._ttl or 1.0)
        while (elapsed := time.perf_counter() - start) < self._seconds:
            key = random.randrange(_KEYS)
            if random.random() < _WRITES:
                await self._write(database, key)
            else:
                counts = await self._read(database, key, memory)
                interval = int(elapsed / _INTERVAL)
                self.intervals[interval] = [a + b for a, b in zip(self.intervals[interval], counts, strict=True)]
            await asyncio.sleep(_PAUSE * random.random())

    async def _write(self, database: Any, key: int) -> None:
        async with self._locks[key]:
            number = self._acknowledged[key] + 1
            await database.create_update_spec(sub=_SUB, name=f"s{key}", version=str(number), model_count=number)
            self._acknowledged[key] = number

    async def _read(self, database: Any, key: int, memory: ExpiringDict[int, int]) -> tuple[int, bool, bool]:
        newest, before = self._acknowledged[key], _hits(database)
        found = memory.get(key) if self._ttl else None
        is_hit = found is not None
        if found is None:
            info = await database.get_spec(sub=_SUB, name=f"s{key}")
            found = memory[key] = info["model_count"] if info else 0
            is_hit = _hits(database) > before
        return 1, is_hit, found < newest


def _hits(database: Any) -> int:
    cache = getattr(database.engine, "cache", None)
    return 0 if cache is None else cache.info().hits


async def main(url: str, ttl: str, clients: str, seconds: str) -> None:
    """Runs the clients and prints what they read."""
    async with AsyncExitStack() as stack:
        opened = [package_database.aconnect(url) for _ in range(int(clients))]
        databases = [await stack.enter_async_context(each) for each in opened]
        population = Population(databases, float(ttl), float(seconds))
        await population.run()
    print(json.dumps(population.intervals))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
