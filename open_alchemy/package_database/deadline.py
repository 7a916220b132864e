"""How long a call may still take.

The facade owns the deadline of a call; an engine reports progress to it and asks it before it starts anything.
This module knows no store.
"""

from __future__ import annotations

import time
from collections.abc import Callable

GRACE = 0.5
"""Seconds that a call may end after its deadline."""
_MARGIN = 0.1
"""Seconds for waking up."""


class Deadline:
    """The deadline of one call, on the monotonic clock.

    Args:
        seconds: How long the call may take; how long it may stand still, where ``renewable``.
        renewable: Whether every finished page, batch or transaction starts the deadline anew, as it does in a call
            that moves any number of items.
        attempt: The longest time in seconds that one request to the store can take.
        clock: Returns the monotonic time in seconds.
    """

    __slots__ = ("_attempt", "_begin", "_clock", "_contended", "_renewable", "_start", "seconds")

    def __init__(
        self,
        seconds: float,
        *,
        renewable: bool = False,
        attempt: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._renewable = renewable
        self._attempt = attempt
        self._clock = clock
        self._begin = self._start = clock()
        self._contended = False

    def remaining(self) -> float:
        """Returns the seconds left, negative when the deadline is over."""
        return self._start + self.seconds - self._clock()

    def elapsed(self) -> float:
        """Returns the seconds since the call began."""
        return self._clock() - self._begin

    def allows(self, delay: float = 0.0) -> bool:
        """Returns whether a request that starts after ``delay`` seconds is sure to end in time."""
        remaining = self.remaining() - delay
        return remaining > 0 and remaining + GRACE >= self._attempt

    def spare(self) -> float:
        """Returns how many seconds one may wait and still have time for a request, at least 0."""
        remaining = self.remaining()
        return max(0.0, min(remaining, remaining + GRACE - self._attempt) - _MARGIN)

    def progress(self) -> None:
        """Starts the deadline anew after a finished page or batch, but not while the call repeats what it lost."""
        if self._renewable and not self._contended:
            self._start = self._clock()

    def contended(self) -> None:
        """Notes a lost race: reading everything once more is no progress until a transaction succeeds."""
        self._contended = True

    def settled(self) -> None:
        """Notes a transaction that succeeded."""
        self._contended = False
        self.progress()
