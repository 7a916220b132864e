"""The deadline of a call.

``Database`` creates it; an engine reports progress to it and asks it before each request.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

GRACE = 0.5
"""Seconds by which a call may exceed its deadline."""
_MARGIN = 0.1
"""Seconds reserved for waking up and raising the error."""


class Deadline:
    """The deadline of one call, on the monotonic clock.

    Args:
        seconds: The longest duration of the call; if ``renewable``, the longest duration without progress.
        renewable: Whether each completed page or transaction restarts the deadline (an unbounded call).
        attempt: The longest duration in seconds of a request once it was sent, whatever the deadline; 0 if a request
            is cancelled after ``attempt_seconds``.
        clock: Returns the monotonic time in seconds.
        start: When the call began on that clock; None for now.
    """

    __slots__ = ("_attempt", "_begin", "_clock", "_contended_since", "_renewable", "_start", "seconds")

    def __init__(
        self,
        seconds: float,
        *,
        renewable: bool = False,
        attempt: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        start: float | None = None,
    ) -> None:
        self.seconds = seconds
        self._renewable = renewable
        self._attempt = attempt
        self._clock = clock
        self._begin = self._start = clock() if start is None else start
        self._contended_since: float | None = None

    def remaining(self) -> float:
        """Returns the seconds left, negative after the deadline."""
        return self._start + self.seconds - self._clock()

    def elapsed(self) -> float:
        """Returns the seconds since the call began."""
        return self._clock() - self._begin

    def allows(self, delay: float = 0.0) -> bool:
        """Returns whether a request that starts after ``delay`` seconds ends in time."""
        remaining = self.remaining() - delay
        return remaining > 0 and remaining + GRACE >= self._attempt

    def attempt_seconds(self) -> float:
        """Returns the timeout in seconds of a request that starts now."""
        return max(0.0, self.remaining() + GRACE - _MARGIN)

    def progress(self) -> None:
        """Restarts a renewable deadline after a completed page or transaction."""
        if self._renewable:
            self._start = self._clock()

    def expire(self) -> None:
        """Ends the deadline now, for work that continues after its call was cancelled."""
        self.seconds = -math.inf

    @property
    def is_contended(self) -> bool:
        """Whether a transaction failed on its conditions and none has committed since."""
        return self._contended_since is not None

    def conflict(self, *, is_first: bool = False) -> None:
        """Notes a transaction that failed on its conditions; ``is_first`` for the first of a new write.

        Reading again is progress of the call, but not of the write: a write is attempted no longer than ``seconds``
        after its first conflict.
        """
        if is_first or self._contended_since is None:
            self._contended_since = self._clock()

    def commit(self) -> None:
        """Notes a committed transaction."""
        self._contended_since = None
        self.progress()

    def allows_retry(self, delay: float = 0.0) -> bool:
        """Returns whether a write that met a conflict may be attempted again after ``delay`` seconds."""
        return self.allows(delay) and self._remaining_of_write() > delay

    def longest_backoff(self) -> float:
        """Returns the seconds after which there is just enough time for another attempt, at least 0."""
        remaining = self.remaining()
        return max(0.0, min(remaining, remaining + GRACE - self._attempt, self._remaining_of_write()) - _MARGIN)

    def _remaining_of_write(self) -> float:
        if self._contended_since is None:
            return self.seconds
        return self._contended_since + self.seconds - self._clock()
