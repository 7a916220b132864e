"""Makes calls in the virtual environment of a peer, and reports their time as lines of JSON.

    python benchmarks/peers/worker.py PEER URL

The first line of the output contains the versions of the peer's distributions. For each line of the input, such as
``{"case": "get_spec", "calls": 100, "width": 4}``, the output contains the seconds of CPU time and of wall time.
``width`` calls run concurrently, in threads or in tasks. If the peer has ``MEASURES_LATENCY``, the output contains the
median and the 99th percentile of the seconds of a call too.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any


def import_peer(name: str) -> Any:
    """Imports a peer's module without the checkout on the path, because it contains another version of the package."""
    sys.path[0] = sys.path[0].removesuffix(f"{os.sep}benchmarks{os.sep}peers")
    importlib.import_module("benchmarks")
    del sys.path[0]
    return importlib.import_module(f"benchmarks.peers.{name}")


def serve(peer: Any, url: str) -> None:
    """Answers requests until the end of the input."""
    is_async = asyncio.iscoroutinefunction(peer.open_cases)
    with asyncio.Runner() as runner:
        cases: Mapping[str, Callable[[], Any]] = runner.run(peer.open_cases(url)) if is_async else peer.open_cases(url)
        _send(_versions(peer.DISTRIBUTIONS))
        for line in sys.stdin:
            request = json.loads(line)
            case, shares = cases[request["case"]], share_out(request["calls"], request["width"])
            latencies: list[float] = []
            if getattr(peer, "MEASURES_LATENCY", False):
                case = (_timed_async if is_async else _timed)(case, latencies)
            gc.collect()
            cpu, wall = time.process_time(), time.perf_counter()
            if is_async:
                runner.run(_await_all(case, shares))
            elif len(shares) == 1:
                _repeat(case, shares[0])
            else:
                with ThreadPoolExecutor(len(shares)) as threads:
                    list(threads.map(partial(_repeat, case), shares))
            _send({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall} | percentiles(latencies))
    # Exits without the cleanup of peers, some of which wait until their client is closed.
    os._exit(0)


def share_out(calls: int, width: int) -> list[int]:
    """Returns the number of calls of each thread or task."""
    return [(calls + number) // width for number in range(width)]


def percentiles(latencies: list[float]) -> dict[str, float]:
    """Returns the median and the 99th percentile; nothing if there are no latencies."""
    ordered = sorted(latencies)
    parts = {"median": 0.5, "p99": 0.99} if ordered else {}
    return {name: ordered[int(part * len(ordered))] for name, part in parts.items()}


def _timed(case: Callable[[], Any], latencies: list[float]) -> Callable[[], Any]:
    def call() -> None:
        begin = time.perf_counter()
        case()
        latencies.append(time.perf_counter() - begin)

    return call


def _timed_async(case: Callable[[], Awaitable[Any]], latencies: list[float]) -> Callable[[], Any]:
    async def call() -> None:
        begin = time.perf_counter()
        await case()
        latencies.append(time.perf_counter() - begin)

    return call


def _repeat(case: Callable[[], Any], calls: int) -> None:
    for _ in range(calls):
        case()


async def _await_all(case: Callable[[], Awaitable[Any]], shares: list[int]) -> None:
    if len(shares) == 1:
        await _await_some(case, shares[0])
    else:
        await asyncio.gather(*(_await_some(case, calls) for calls in shares))


async def _await_some(case: Callable[[], Awaitable[Any]], calls: int) -> None:
    for _ in range(calls):
        await case()


def _versions(distributions: tuple[str, ...]) -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in distributions}


def _send(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(import_peer(sys.argv[1]), sys.argv[2])
