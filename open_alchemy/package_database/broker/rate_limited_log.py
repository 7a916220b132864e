"""Limits how often a kind of problem is logged, so that clients cannot fill the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ..engines import telemetry

SECONDS: Final = 10.0


class LimitedLog:
    """Logs a problem once in ``SECONDS``, with the number of times that it was not logged before.

    Args:
        clock: Returns the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}
        self._omitted: dict[str, int] = {}

    def report(self, kind: str, detail: str = "") -> None:
        """Logs a problem.

        Args:
            kind: What happened, a constant text.
            detail: Which one; it must contain nothing of a message.
        """
        now = self._clock()
        if now < self._next.get(kind, now):
            self._omitted[kind] = self._omitted.get(kind, 0) + 1
            return
        self._next[kind] = now + SECONDS
        omitted = self._omitted.pop(kind, 0)
        more = f" ({omitted} more were not logged)" if omitted else ""
        telemetry.logger().warning("%s%s%s", kind, f": {detail}" if detail else "", more)
