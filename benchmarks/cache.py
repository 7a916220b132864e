"""Measures clients of a broker that cache: ``python -m benchmarks.cache [PICTURE]``.

The broker is a process in front of a SQLite file; the clients are in this process, so that the times with many clients
contain the work of all of them. Ratios compare times of one run. A write with many clients, and the hit rate, are of
get_spec and create_update_spec of 20 specs. PICTURE is written as SVG.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from open_alchemy import package_database
from open_alchemy.package_database import AsyncTDatabase, ExpiringDict
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

CLIENTS: Final = 50
REVOKED: Final = 100
KEYS: Final = 20
SECONDS: Final = 8.0
PAUSE: Final = 0.05
WRITES: Final = 0.01
BUCKET: Final = 0.5
ENTRIES: Final = 100_000
_LISTED: Final = 1_000
_SUB: Final = "u"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Mode(NamedTuple):
    """How the clients of the picture read.

    Attributes:
        title: Its name.
        parameters: What follows the URL.
        ttl: How long a client uses a result without asking again.
    """

    title: str
    parameters: str = ""
    ttl: float | None = None


class Reads(NamedTuple):
    """The reads of a mode: for each ``BUCKET`` the hits and the reads, and how many reads were stale."""

    hits: list[int]
    reads: list[int]
    stale: int


MODES: Final = (Mode("cache", "?cache=1000"), Mode("no cache"), Mode("TTL of 1 s", ttl=1.0))


@contextmanager
def running_broker(folder: Path) -> Iterator[tuple[str, int]]:
    """Runs a broker, and yields its URL and its process id."""
    url = f"sqlite:///{folder / 'store.db'}"
    command = [sys.executable, "-m", "open_alchemy.package_database.cli", "broker", "--url", url]
    arguments = [*command, "--listen", "tcp://127.0.0.1:*"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            yield address.replace("tcp://", "broker://"), process.pid
        finally:
            process.terminate()


async def timed(call: Callable[[], Awaitable[Any]], calls: int) -> float:
    """Returns the wall time of a call in microseconds."""
    start = time.perf_counter()
    for _ in range(calls):
        await call()
    return (time.perf_counter() - start) / calls * 1e6


def cpu_seconds(process: int) -> float:
    """Returns the CPU time of a process."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def wait_until_cached(database: AsyncTDatabase) -> None:
    """Reads until results are cached."""
    engine: Any = database.engine  # type: ignore[attr-defined]
    while engine.cache is None or not engine.cache.info().entries:
        await database.get_spec(sub=_SUB, name="s0")
        await asyncio.sleep(0.05)


async def compare_reads(url: str, rounds: int) -> dict[str, float]:
    """Returns the times of reads, and their ratios."""
    async with (
        package_database.aconnect(f"{url}?cache={ENTRIES}") as caching,
        package_database.aconnect(url) as plain,
    ):
        for number in range(_LISTED):
            await plain.create_update_spec(sub="listed", name=f"spec {number}", version="1", model_count=1)
        await plain.create_update_spec(sub=_SUB, name="s0", version="1", model_count=1)
        await wait_until_cached(caching)
        hits, misses, lists, builds = [], [], [], []
        for _ in range(rounds):
            await caching.get_spec(sub=_SUB, name="s0")
            items = Items([dict(each) for each in await _items(caching)])
            hits.append(await timed(lambda: caching.get_spec(sub=_SUB, name="s0"), 2_000))
            misses.append(await timed(lambda: plain.get_spec(sub=_SUB, name="s0"), 200))
            lists.append(await timed(lambda: caching.list_specs(sub="listed"), 20))
            start = time.perf_counter()
            for _ in range(20):
                to_infos(items, "listed")
            builds.append((time.perf_counter() - start) / 20 * 1e6)
    return {
        "cached get_spec, us": median(hits),
        "uncached get_spec, us": median(misses),
        "ratio, at most 0.1": median(map(_ratio, hits, misses)),
        "cached list of 1,000, us": median(lists),
        "building its dictionaries, us": median(builds),
        "ratio, at most 0.5": median(map(_ratio, lists, builds)),
    }


async def _items(database: Any) -> list[Any]:
    await database.list_specs(sub="listed")
    operation = next(specs.list_specs.steps(sub="listed"))
    found: list[Any] = database.engine.cache.find(operation)
    return found


def _ratio(first: float, second: float) -> float:
    return first / second


async def compare_writes(url: str, broker: int, rounds: int) -> dict[str, float]:
    """Returns the times of a write with and without clients that have cached what it changes."""
    names = {"alone": "alone", "cached": "s0"}
    times: dict[str, list[float]] = {name: [] for name in names}
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(package_database.aconnect(url))
        await writer.create_update_spec(sub=_SUB, name="s0", version="1", model_count=1)
        opened = [package_database.aconnect(f"{url}?cache=10") for _ in range(REVOKED)]
        clients = [await stack.enter_async_context(each) for each in opened]
        await asyncio.gather(*map(wait_until_cached, clients))
        used = 0.0
        for number in range(rounds):
            await asyncio.gather(*(client.get_spec(sub=_SUB, name="s0") for client in clients))
            for name, sub in (("alone", "nobody"), ("cached", _SUB)):
                before = cpu_seconds(broker)
                start = time.perf_counter()
                await writer.create_update_spec(sub=sub, name=names[name], version=str(number), model_count=1)
                times[name].append((time.perf_counter() - start) * 1e3)
                used += (cpu_seconds(broker) - before) * (1 if name == "cached" else -1)
    return {
        "write without caching clients, ms": median(times["alone"]),
        f"write with {REVOKED} caching clients, ms": median(times["cached"]),
        "ratio, at most 3": median(map(_ratio, times["cached"], times["alone"])),
        "cores of the broker for 1,000 revocations a second, at most 1": used / (rounds * REVOKED) * 1000,
    }


def measure_memory() -> dict[str, float]:
    """Returns the memory of entries of get_spec."""
    cache = ClientCache(DEFAULT, lambda: "s", ENTRIES)
    now = Instant(0.0)
    cache.connected(now)
    cache.receive(Lease("s", 0, 1, 1e9), now)
    before = _resident()
    for number in range(ENTRIES):
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
        cache.answer(AnswerHeader("s", number + 1, header.number, is_cacheable=True), value, now)
    assert cache.info().entries == ENTRIES
    return {f"{ENTRIES:,} entries, MB, at most 100": (_resident() - before) / 1e6}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Population:
    """Clients that read and write at random, and know each write that was acknowledged."""

    def __init__(self, mode: Mode, databases: list[Any]) -> None:
        self._mode, self._databases = mode, databases
        self._acknowledged = dict.fromkeys(range(KEYS), 0)
        self._locks = [asyncio.Lock() for _ in range(KEYS)]
        buckets = round(SECONDS / BUCKET)
        self._hits, self._reads, self._stale = [0] * buckets, [0] * buckets, 0

    async def run(self) -> Reads:
        """Returns what the clients read."""
        self._start = time.perf_counter()
        await asyncio.gather(*(self._client(Random(n), each) for n, each in enumerate(self._databases)))  # noqa: S311
        return Reads(self._hits, self._reads, self._stale)

    async def _client(self, random: Random, database: Any) -> None:
        memory: ExpiringDict[int, int] = ExpiringDict(self._mode.ttl or 1.0)
        while (now := time.perf_counter() - self._start) < SECONDS:
            key = random.randrange(KEYS)
            if random.random() < WRITES:
                async with self._locks[key]:
                    number = self._acknowledged[key] + 1
                    name = f"s{key}"
                    await database.create_update_spec(sub=_SUB, name=name, version=str(number), model_count=number)
                    self._acknowledged[key] = number
            else:
                await self._read(database, key, memory, int(now / BUCKET))
            await asyncio.sleep(PAUSE * random.random())

    async def _read(self, database: Any, key: int, memory: ExpiringDict[int, int], bucket: int) -> None:
        newest, before = self._acknowledged[key], self._cache_hits(database)
        found = memory.get(key) if self._mode.ttl else None
        is_hit = found is not None
        if found is None:
            info = await database.get_spec(sub=_SUB, name=f"s{key}")
            found = memory[key] = info["model_count"] if info else 0
            is_hit = self._cache_hits(database) > before
        self._hits[bucket] += is_hit
        self._reads[bucket] += 1
        self._stale += found < newest

    def _cache_hits(self, database: Any) -> int:
        cache = getattr(database.engine, "cache", None)
        return 0 if cache is None else cache.info().hits


async def hit_rates(folder: Path) -> dict[str, Reads]:
    """Returns the reads of each mode, each on a broker of its own that has just started."""
    found = {}
    for mode in MODES:
        (place := folder / mode.title).mkdir()
        with running_broker(place) as (url, _):
            async with AsyncExitStack() as stack:
                opened = [package_database.aconnect(url + mode.parameters) for _ in range(CLIENTS)]
                databases = [await stack.enter_async_context(each) for each in opened]
                found[mode.title] = await Population(mode, databases).run()
    return found


def draw(rates: dict[str, Reads], path: Path) -> None:
    """Draws the hit rate over time."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "cache", "font.size": 9})
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for title, reads in rates.items():
        times = [number * BUCKET for number in range(len(reads.hits))]
        percent = [100 * hits / max(1, all_) for hits, all_ in zip(reads.hits, reads.reads, strict=True)]
        axes.plot(times, percent, label=f"{title}: {reads.stale:,} stale reads of {sum(reads.reads):,}")
    axes.set_xlabel(f"seconds since the start of the broker and of {CLIENTS} clients, 1 % writes")
    axes.set_ylabel("reads without a request, %")
    axes.set_ylim(-3, 100)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


async def main(picture: Path | None) -> None:
    """Measures, prints and draws."""
    with TemporaryDirectory() as folder:
        (place := Path(folder, "calls")).mkdir()
        figures = measure_memory()
        with running_broker(place) as (url, process):
            figures |= await compare_reads(url, rounds=7)
            figures |= await compare_writes(url, process, rounds=60)
        rates = await hit_rates(Path(folder))
    for title, figure in figures.items():
        print(f"{title}: {figure:.3g}")
    for title, reads in rates.items():
        print(f"{title}: {100 * sum(reads.hits) / sum(reads.reads):.0f} % hits, {reads.stale} stale reads")
    if picture is not None:
        draw(rates, picture)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
