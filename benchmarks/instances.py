"""Measures what it costs a call to select its instance: ``python -m benchmarks.instances``.

The selection is everything between the call and its engine. It is compared with a process without a file of instances.
The exit code is 1 if it costs more than the limit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from open_alchemy import package_database
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.instances import process
from open_alchemy.package_database.instances.directory import SingleStore
from open_alchemy.package_database.instances.instance_file import InstanceFile

LIMIT_MICROSECONDS: Final = 2.0
_INSTANCES: Final = 1_000
_ROUNDS: Final = 15


def measure(rounds: int, calls: int) -> dict[str, float]:
    """Returns the CPU time of a selection in microseconds, the lowest of all rounds, by what is selected."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "instances.toml")
        tables = [f'[instances.i{number}]\nurl = "sqlite:///{folder}/i{number}.db"\n' for number in range(_INSTANCES)]
        file.write_text('default = "i0"\n' + "".join(tables), encoding="utf-8")
        single, directory = SingleStore(SQLiteConfig()), InstanceFile(str(file), {})
        with process.replaced(lambda: single):
            found = {"one store, without a file": _fastest(rounds, calls)}
        with process.replaced(lambda: directory):
            found["the default instance"] = _fastest(rounds, calls)
            with package_database.instance("i1"):
                found["a selected instance"] = _fastest(rounds, calls)
    return found


def _fastest(rounds: int, calls: int) -> float:
    return min(_time(lambda: process.current().engine(), calls) for _ in range(rounds)) * 1e6


def _time(function: Callable[[], object], calls: int) -> float:
    begin = time.process_time()
    for _ in range(calls):
        function()
    return (time.process_time() - begin) / calls


def main(rounds: int = _ROUNDS, calls: int = 20_000, limit: float = LIMIT_MICROSECONDS) -> int:
    """Prints the costs; returns 1 if one is above the limit."""
    found = measure(rounds, calls)
    for name, microseconds in found.items():
        print(f"{name}: {microseconds:.2f} us")
    return int(max(found.values()) > limit)


if __name__ == "__main__":
    sys.exit(main())
