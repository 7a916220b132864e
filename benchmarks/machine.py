"""The machine that measures: what it is, and how quiet."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence

from .report import Table, seconds_text, spread_text
from .spread import Spread

_SAMPLES = 20
_STEPS = 50_000


def calibrate() -> list[float]:
    """Returns the seconds on the clock that the same work takes, again and again."""
    return [_work() for _ in range(_SAMPLES)]


def table(before: Sequence[float], after: Sequence[float]) -> Table:
    """Returns what the machine is, and how its speed differed between the start and the end of a run."""
    change = Spread.of(after).median / Spread.of(before).median - 1
    rows = [
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("CPUs", str(os.cpu_count())),
        ("a loop of pure Python at the start (quartiles)", spread_text(before, seconds_text)),
        ("the same at the end (quartiles)", f"{spread_text(after, seconds_text)}, {change:+.0%}"),
    ]
    return Table("machine", ("machine", "value"), rows)


def _work() -> float:
    begin = time.perf_counter()
    counts: dict[int, int] = {}
    for number in range(_STEPS):
        counts[number % 97] = counts.get(number % 97, 0) + number
    return time.perf_counter() - begin
