"""How long a call may still take.

The facade owns the deadline of a call; an engine reports progress to it and asks it before it starts anything.
This module knows no store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

GRACE = 0.5
"""Seconds that a call may end after its deadline."""
_MARGIN = 0.1
"""Seconds for waking up and for saying so."""


class Deadline:
    """The deadline of one call, on the monotonic clock.

    Args:
        seconds: How long the call may take; how long it may stand still, where ``renewable``.
        renewable: Whether every finished page, batch or transaction starts the deadline anew, as it does in a call
            that moves any number of items.
        attempt: How long in seconds a request to the store may take once it is begun, whatever the deadline is; 0
            where a request is given up when ``attempt_seconds`` are over.
        clock: Returns the monotonic time in seconds.
    """

    __slots__ = ("_attempt", "_begin", "_clock", "_lost", "_renewable", "_start", "seconds")

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
        self._lost: float | None = None

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

    def attempt_seconds(self) -> float:
        """Returns after how many seconds a request that starts now must be given up."""
        return max(0.0, self.remaining() + GRACE - _MARGIN)

    def allows_race(self, delay: float = 0.0) -> bool:
        """Returns whether, after losing a race, one may run it again after ``delay`` seconds."""
        return self.allows(delay) and self._racing() > delay

    def spare(self) -> float:
        """Returns how many seconds one may wait after a lost race and still have time for a request, at least 0."""
        remaining = self.remaining()
        return max(0.0, min(remaining, remaining + GRACE - self._attempt, self._racing()) - _MARGIN)

    @property
    def is_contended(self) -> bool:
        """Whether a race was lost and no transaction has succeeded since."""
        return self._lost is not None

    def progress(self) -> None:
        """Starts the deadline anew after a finished page, batch or transaction."""
        if self._renewable:
            self._start = self._clock()

    def expire(self) -> None:
        """Ends the deadline now, for whatever still works for a call that was cancelled."""
        self.seconds = -math.inf

    def contended(self, *, anew: bool = False) -> None:
        """Notes a lost race; ``anew`` where it is the first of its kind.

        What is read again for the next race is progress in reading, but not in the race: that may take as long as the
        deadline from its first loss.
        """
        if anew or self._lost is None:
            self._lost = self._clock()

    def settled(self) -> None:
        """Notes a transaction that succeeded."""
        self._lost = None
        self.progress()

    def _racing(self) -> float:
        """Returns the seconds left for a race."""
        return self.seconds if self._lost is None else self._lost + self.seconds - self._clock()
