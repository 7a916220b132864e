"""Measures what it costs a call to select its instance: ``python -m benchmarks.instances``.

The selection is everything between a call of one operation and the engine of the store: the lookup of the instance and
of its open engine, and the forwarding by the wrapper that closes an idle engine. The engine does nothing, and what its
two calls cost is part of the figures. They are compared with a process without a file of instances.
The exit code is 1 if a selection costs more than the limit.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest import mock

from open_alchemy import package_database
from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.engines import registry
from open_alchemy.package_database.instances import api
from open_alchemy.package_database.instances.instance_file import InstanceFile
from open_alchemy.package_database.instances.lookup import SingleStore

LIMIT_MICROSECONDS: Final = 2.0
_INSTANCES: Final = 1_000
_ROUNDS: Final = 15
_ARGUMENTS: Final[tuple[Any, Any]] = (None, None)


class _IdleConfig:
    """The configuration of a store that does nothing."""

    deadline = 5.0
    location = "nowhere"

    def open_engine(self, tables: Sequence[Table]) -> Any:
        del tables
        return _IdleEngine()

    def open_async_engine(self, tables: Sequence[Table]) -> Any:
        del tables
        return _IdleAsyncEngine()


class _IdleEngine:
    """An engine for threads that does nothing."""

    def prepare(self) -> None:
        """Does nothing."""

    def execute(self, operation: object, deadline: object) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class _IdleAsyncEngine:
    """An engine for asyncio that does nothing."""

    async def prepare(self) -> None:
        """Does nothing."""

    def queue(self) -> None:
        """Does nothing."""

    async def execute(self, operation: object, deadline: object) -> None:
        """Does nothing."""

    async def aclose(self) -> None:
        """Does nothing."""


def measure(rounds: int, calls: int) -> dict[str, float]:
    """Returns the CPU time of a selection in microseconds, the lowest of all rounds, by what is selected."""
    with TemporaryDirectory() as folder, mock.patch.object(registry, "from_url", return_value=_IdleConfig()):
        file = Path(folder, "instances.toml")
        tables = [f'[instances.i{number}]\nurl = "idle://{number}"\n' for number in range(_INSTANCES)]
        file.write_text('default = "i0"\n' + "".join(tables), encoding="utf-8")
        single, directory = SingleStore(_IdleConfig()), InstanceFile(str(file), {})
        with api.replaced(lambda: single):
            found = _measure("one store, without a file", rounds, calls)
        with api.replaced(lambda: directory):
            found |= _measure("the default instance", rounds, calls)
            with package_database.instance("i1"):
                found |= _measure("a selected instance", rounds, calls)
    return found


def _measure(name: str, rounds: int, calls: int) -> dict[str, float]:
    return {
        name: min(_time(_select, calls) for _ in range(rounds)) * 1e6,
        f"{name}, asyncio": min(asyncio.run(_time_async(calls)) for _ in range(rounds)) * 1e6,
    }


def _select() -> None:
    engine = api.current().engine()
    engine.prepare()
    engine.execute(*_ARGUMENTS)


def _time(function: Callable[[], object], calls: int) -> float:
    begin = time.process_time()
    for _ in range(calls):
        function()
    return (time.process_time() - begin) / calls


async def _time_async(calls: int) -> float:
    begin = time.process_time()
    for _ in range(calls):
        engine = api.current().async_engine()
        engine.queue()
        await engine.prepare()
        await engine.execute(*_ARGUMENTS)
    return (time.process_time() - begin) / calls


def main(rounds: int = _ROUNDS, calls: int = 20_000, limit: float = LIMIT_MICROSECONDS) -> int:
    """Prints the costs; returns 1 if one is above the limit."""
    found = measure(rounds, calls)
    for name, microseconds in found.items():
        print(f"{name}: {microseconds:.2f} us")
    return int(max(found.values()) > limit)


if __name__ == "__main__":
    sys.exit(main())
