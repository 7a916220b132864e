"""Makes calls in the virtual environment of a peer, and says how long they took: JSON lines over stdin and stdout.

    python benchmarks/peers/worker.py PEER URL

It says first which cases there are, and then answers each ``{"case": ..., "calls": ..., "width": ...}`` with the
seconds of CPU time of its process, those on the clock, and the parts of the CPU time where the peer's ``take_parts``
tells them. ``width`` calls are under way at once: in threads, or as tasks of the loop.
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
    """Imports a peer's module, without the rest of the checkout: another version of the package stands there."""
    sys.path[0] = sys.path[0].removesuffix(f"{os.sep}benchmarks{os.sep}peers")
    importlib.import_module("benchmarks")
    del sys.path[0]
    return importlib.import_module(f"benchmarks.peers.{name}")


def serve(peer: Any, url: str) -> None:
    """Answers requests until there are no more."""
    is_async = asyncio.iscoroutinefunction(peer.open_cases)
    take_parts: Callable[[], Mapping[str, float]] = getattr(peer, "take_parts", dict)
    with asyncio.Runner() as runner:
        cases: Mapping[str, Callable[[], Any]] = runner.run(peer.open_cases(url)) if is_async else peer.open_cases(url)
        _say({"cases": list(cases), "versions": _versions(peer.DISTRIBUTIONS)})
        for line in sys.stdin:
            order = json.loads(line)
            case, shares = cases[order["case"]], share_out(order["calls"], order["width"])
            gc.collect()
            take_parts()
            cpu, wall = time.process_time(), time.perf_counter()
            if is_async:
                runner.run(_await_all(case, shares))
            elif len(shares) == 1:
                _repeat(case, shares[0])
            else:
                with ThreadPoolExecutor(len(shares)) as threads:
                    list(threads.map(partial(_repeat, case), shares))
            _say({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "parts": take_parts()})
    # Peers that want to be closed are not waited for.
    os._exit(0)


def share_out(calls: int, width: int) -> list[int]:
    """Returns how many calls each of so many threads or tasks makes."""
    return [(calls + number) // width for number in range(width)]


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


def _say(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(import_peer(sys.argv[1]), sys.argv[2])
