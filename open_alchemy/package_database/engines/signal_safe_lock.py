"""A lock that an interrupted holder cannot keep.

An exception from a signal handler may end a call at any bytecode, also between taking a lock and the ``try`` that
releases it. Here a holder is a weak reference to an object that only the holder's frame refers to, so a claim ends with
the frame at the latest. Claims are served in order.
"""

from __future__ import annotations

import time
import weakref
from typing import Any, Final, TypeAlias

from ..core.deadline import Deadline

Claim: TypeAlias = "weakref.ref[Any]"

_POLL: Final = 0.00005
"""Seconds between two polls of the first waiter; later waiters poll less often."""
_MAX_POLL: Final = 0.002


class RecoveringLock:
    """A fair lock.

    Attributes:
        release: Ends a claim, and does nothing where it has ended: ``release(claim, None)``. It is one C call, so that
            a signal handler cannot interrupt it.
    """

    def __init__(self) -> None:
        # A dict keeps the order, and its methods are atomic.
        self._claims: dict[Claim, None] = {}
        self.release = self._claims.pop

    def acquire(self, claim: Claim, deadline: Deadline) -> bool:
        """Waits until all earlier claims have ended, and returns whether they did before the deadline."""
        self._claims[claim] = None
        while ahead := self._ahead(claim):
            if deadline.remaining() <= 0:
                self.release(claim, None)
                return False
            time.sleep(min(_POLL * ahead, _MAX_POLL))
        return True

    def clear(self) -> None:
        """Ends all claims; in the child of a fork, whose other threads are gone."""
        self._claims.clear()

    def _ahead(self, claim: Claim) -> int:
        """Returns the number of earlier claims, and removes those that ended with their frames."""
        count = 0
        for earlier in tuple(self._claims):
            if earlier is claim:
                break
            if earlier() is None:
                self.release(earlier, None)
            else:
                count += 1
        return count
