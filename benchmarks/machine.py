"""Describes the machine of a run, and measures how much its speed varies."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence

from .results import quartiles, seconds_text

_ROUNDS = 20
_STEPS = 50_000


def calibrate() -> list[float]:
    """Returns the wall time of the same loop, measured repeatedly."""
    return [_loop() for _ in range(_ROUNDS)]


def rows(before: Sequence[float], after: Sequence[float]) -> list[tuple[str, str]]:
    """Returns the table of the machine. Loops before and after the run show the noise."""
    low, middle, high = quartiles([*before, *after])
    return [
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"),
        ("a loop of pure Python", f"{seconds_text(middle)} ({seconds_text(low)} - {seconds_text(high)})"),
        ("the same after the run", f"{quartiles(after)[1] / quartiles(before)[1] - 1:+.0%}"),
    ]


def _loop() -> float:
    begin = time.perf_counter()
    counts: dict[int, int] = {}
    for number in range(_STEPS):
        counts[number % 97] = counts.get(number % 97, 0) + number
    return time.perf_counter() - begin
