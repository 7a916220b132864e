"""Tells how the CPU time of a call divides among the functions that it goes through."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

_SAMPLES: Final = 2000


class Stopwatch:
    """Gives time to the innermost stage that is at work.

    What a look at the clock itself takes is measured at the start, and taken off.

    Args:
        outermost: The stage of what is in no other.
        clock: Returns the seconds of CPU time of this thread.
    """

    def __init__(self, outermost: str, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._stage = outermost
        self._spent: dict[str, float] = defaultdict(float)
        self._look = 0.0
        self._last = clock()
        for _ in range(_SAMPLES):
            self._enter("a look")
        self._look = self._spent.pop("a look") / (_SAMPLES - 1)
        self._enter(outermost)
        self.take()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function whose time, but for that of the stages within it, is the stage's."""

        @wraps(function)
        def run(*arguments: Any, **options: Any) -> Any:
            outer = self._enter(stage)
            try:
                return function(*arguments, **options)
            finally:
                self._enter(outer)

        return run

    def take(self) -> dict[str, float]:
        """Returns the seconds of each stage since the last time, and begins anew."""
        self._enter(self._stage)
        spent = {stage: max(seconds, 0.0) for stage, seconds in self._spent.items()}
        self._spent.clear()
        return spent

    def _enter(self, stage: str) -> str:
        """Gives the time since the last look to the stage that was at work; returns that stage."""
        now, outer = self._clock(), self._stage
        self._spent[outer] += now - self._last - self._look
        self._last, self._stage = now, stage
        return outer
