"""The clocks of leases: a monotonic one that advances while the machine sleeps, and the wall clock."""

from __future__ import annotations

import time
from typing import Final

from ...coherence.leases import Instant

# CLOCK_MONOTONIC stops during suspend (clock_gettime(2)).
_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def boot_time() -> float:
    """Returns the seconds of a monotonic clock, which advances during suspend where the platform has one."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def instant() -> Instant:
    """Returns the time on both clocks; the wall clock also where a test has replaced ``time.time``."""
    # Faster than the constructor, which is a function in Python: each cached read calls this.
    return tuple.__new__(Instant, (boot_time(), time.time_ns() / 1e9))
