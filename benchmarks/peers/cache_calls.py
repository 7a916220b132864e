"""Measures calls of clients with a cache, and prints the samples as JSON: lists of CPU time, wall time and memory.

    python benchmarks/peers/cache_calls.py URL PROCESS ROUNDS ENTRIES

URL and PROCESS are those of a broker. All clients are in one event loop of this process, so that the wall time of a
write that revokes their results contains the work of all of them. The CPU time of a write is that of the broker alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from open_alchemy import package_database
from open_alchemy.package_database.coherence.cache import ClientCache
from open_alchemy.package_database.coherence.leases import DEFAULT, Instant
from open_alchemy.package_database.coherence.messages import AnswerHeader, Lease
from open_alchemy.package_database.coherence.tags import read_key, tags_of_read
from open_alchemy.package_database.core.operations import Get, Items
from open_alchemy.package_database.engines.broker import messages, read_cache
from open_alchemy.package_database.model import specs
from open_alchemy.package_database.model.keys import LATEST, latest_key, record_keys
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.model.spec_records import to_infos

_SUB: Final = "u"
_NAME: Final = "s0"
_LISTED: Final = 1_000
_REVOKED: Final = 100

Samples = dict[str, list[list[float]]]
"""CPU time, wall time and memory of each round by the name of the case."""


async def measure_calls(url: str, rounds: int) -> Samples:
    """Measures reads with and without a cache."""
    async with package_database.aconnect(f"{url}?cache=1000") as caching, package_database.aconnect(url) as plain:
        for number in range(_LISTED):
            await plain.create_update_spec(sub="listed", name=f"spec {number}", version="1", model_count=1)
        await plain.create_update_spec(sub=_SUB, name=_NAME, version="1", model_count=1)
        await _wait_until_cached(caching)
        items = Items([dict(each) for each in await _cached_items(caching)])

        async def build() -> None:
            to_infos(items, "listed")

        jobs: dict[str, tuple[Callable[[], Awaitable[Any]], int]] = {
            "hit": (lambda: caching.get_spec(sub=_SUB, name=_NAME), 2_000),
            "request": (lambda: plain.get_spec(sub=_SUB, name=_NAME), 200),
            "list": (lambda: caching.list_specs(sub="listed"), 20),
            "build": (build, 20),
        }
        samples: Samples = {name: [] for name in jobs}
        for _ in range(rounds):
            for name, (call, calls) in jobs.items():
                samples[name].append(await _timed(call, calls))
    return samples


async def _timed(call: Callable[[], Awaitable[Any]], calls: int) -> list[float]:
    await call()  # An entry has a limited age.
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        await call()
    return [(time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls, 0.0]


async def _wait_until_cached(database: Any) -> None:
    while database.engine.cache is None or not database.engine.cache.info().entries:
        await database.get_spec(sub=_SUB, name=_NAME)
        await asyncio.sleep(0.05)


async def _cached_items(database: Any) -> list[Any]:
    await database.list_specs(sub="listed")
    found: list[Any] = database.engine.find(next(specs.list_specs.steps(sub="listed")))
    return found


async def measure_writes(url: str, broker: int, rounds: int) -> Samples:
    """Measures writes of what no client, and of what all clients have cached."""
    written = {"write": ("nobody", "alone"), "revoking": (_SUB, _NAME)}
    samples: Samples = {name: [] for name in (*written, "revocations")}
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(package_database.aconnect(url))
        opened = [package_database.aconnect(f"{url}?cache=10") for _ in range(_REVOKED)]
        clients = [await stack.enter_async_context(each) for each in opened]
        await asyncio.gather(*map(_wait_until_cached, clients))
        for number in range(rounds):
            await asyncio.gather(*(client.get_spec(sub=_SUB, name=_NAME) for client in clients))
            for case, (sub, name) in written.items():
                cpu, wall = cpu_seconds(broker), time.perf_counter()
                await writer.create_update_spec(sub=sub, name=name, version=str(number), model_count=1)
                samples[case].append([cpu_seconds(broker) - cpu, time.perf_counter() - wall, 0.0])
            spent = samples["revoking"][-1][0] - samples["write"][-1][0]
            samples["revocations"].append([spent * 1_000 / _REVOKED, 0.0, 0.0])
    return samples


def cpu_seconds(process: int) -> float:
    """Returns the CPU time of a process."""
    # The id of the CPU clock of a process: clock_getcpuclockid(3).
    return time.clock_gettime(~process << 3 | 2)


def measure_memory(entries: int) -> Samples:
    """Measures the memory of 100,000 cached results of get_spec with some of them."""
    cache = ClientCache(DEFAULT, lambda: "s", entries)
    now = Instant(0.0, 0.0)
    cache.connected(now)
    cache.receive(Lease("s", 0, 1, 1e9))
    before = _resident()
    for number in range(entries):
        sub, id_ = f"auth0|{number % 1000:024d}", f"spec-{number}"
        operation = Get(SPECS, latest_key(sub, id_))
        header = cache.begin_read(read_key(operation), tags_of_read(operation), now)
        assert header is not None
        item: dict[str, str | int] = {
            "sub": sub,
            "id": id_,
            "name": id_,
            "updated_at": str(1_700_000_000 + number),
            "version": f"1.{number}",
            "model_count": number,
            "title": f"Title {number}",
            "revision": f"{number:032x}",
            **record_keys(LATEST, id_),
        }
        value = read_cache.to_value(messages.Found(messages.Item(item)))
        cache.answer(AnswerHeader("s", number + 1, header.number, is_cacheable=True), value)
    assert cache.info().entries == entries
    return {"memory": [[0.0, 0.0, (_resident() - before) * 100_000 / entries]]}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(url: str, process: str, rounds: str, entries: str) -> None:
    """Measures and prints everything."""
    samples = measure_memory(int(entries))
    samples |= asyncio.run(measure_calls(url, int(rounds)))
    samples |= asyncio.run(measure_writes(url, int(process), int(rounds)))
    print(json.dumps(samples))


if __name__ == "__main__":
    main(*sys.argv[1:])
