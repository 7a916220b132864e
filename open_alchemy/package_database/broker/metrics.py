"""The figures of a broker: a latency histogram, the sums over the workers, and Prometheus' text format. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

Figures: TypeAlias = Mapping[str, int | float]

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper limits in seconds."""
_PREFIX: Final = "package_database_broker_"
_BUCKET: Final = "latency_le_"
_GAUGES: Final = {
    "uptime_seconds": "Seconds since the broker was started.",
    "in_progress": "Requests in progress.",
    "queued": "Requests that wait.",
    "queued_bytes": "Bytes of the requests that wait.",
    "clients": "Clients with requests in progress or waiting.",
    "workers": "Worker processes.",
    "caching_clients": "Clients that cache.",
    "pool_waiting": "Operations that wait for a connection to the store.",
    "pool_executing": "Operations that the store executes.",
}
_COUNTERS: Final = {
    "requests": "Requests received.",
    "errors": "Requests that failed.",
    "shed": "Requests refused because the queue was full.",
    "refused": "Requests refused because the client has no right to them.",
    "malformed": "Malformed messages.",
    "refused_clients": "Connections refused because of their key.",
    "cache_reads": "Reads of clients that cache.",
    "cache_reads_uncacheable": "Reads of clients that cache whose answers they may not cache.",
    "cache_revocations": "Messages to clients that cache to drop answers.",
}


class Histogram:
    """Counts of latencies by bucket."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """Adds a latency."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def figures(self) -> dict[str, int | float]:
        """Returns the cumulative counts, the count of all and the sum."""
        found: dict[str, int | float] = {}
        total = 0
        for limit, count in zip(BUCKETS, self._counts, strict=False):
            total += count
            found[f"{_BUCKET}{limit}"] = total
        return found | {"latency_count": sum(self._counts), "latency_sum": self._seconds}


def merge(parts: Iterable[Figures]) -> dict[str, int | float]:
    """Returns the sums of the figures of several workers; of the uptime, the longest."""
    merged: dict[str, int | float] = {}
    for part in parts:
        for name, value in part.items():
            before = merged.get(name, 0)
            merged[name] = max(before, value) if name == "uptime_seconds" else before + value
    return merged


def to_prometheus(figures: Figures) -> str:
    """Returns figures in Prometheus' text format; figures of other modules are gauges."""
    return "".join(f"{line}\n" for line in _lines(figures))


def _lines(figures: Figures) -> Iterator[str]:
    for name, value in figures.items():
        if name in _COUNTERS:
            yield from _metric(f"{_PREFIX}{name}_total", "counter", _COUNTERS[name], value)
        elif not name.startswith("latency_"):
            yield from _metric(_PREFIX + name, "gauge", _GAUGES.get(name, name.replace("_", " ")), value)
    if "latency_count" in figures:
        yield from _histogram(figures)


def _metric(name: str, kind: str, meaning: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    yield f"{name} {value}"


def _histogram(figures: Figures) -> Iterator[str]:
    name = f"{_PREFIX}latency_seconds"
    yield f"# HELP {name} Seconds from the receipt of a request to its answer."
    yield f"# TYPE {name} histogram"
    for limit in BUCKETS:
        yield f'{name}_bucket{{le="{limit}"}} {figures[f"{_BUCKET}{limit}"]}'
    yield f'{name}_bucket{{le="+Inf"}} {figures["latency_count"]}'
    yield f"{name}_sum {figures['latency_sum']}"
    yield f"{name}_count {figures['latency_count']}"
