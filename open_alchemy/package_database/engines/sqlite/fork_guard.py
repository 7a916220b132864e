"""The calls in progress on one store. A fork waits for them, and they wait for a fork.

A call is a weak reference to an object that only the call's frame refers to. An exception from a signal handler may end
the call at any bytecode; then the object is gone with the frame.
"""

from __future__ import annotations

import threading
import time

from .. import fork
from ..signal_safe_lock import Claim

_POLL = 0.001


class Call:
    """A call in progress."""

    __slots__ = ("__weakref__", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class Calls:
    """The calls in progress on one store.

    Attributes:
        end: Ends a call: ``end(claim, None)``. It is one C call, so that a signal handler cannot interrupt it.
    """

    def __init__(self) -> None:
        self._claims: dict[Claim, None] = {}
        self.end = self._claims.pop

    def begin(self, claim: Claim) -> None:
        """Adds a call, so that a fork waits for it; waits first while another thread forks."""
        self._claims[claim] = None
        while fork.is_in_progress():
            self.end(claim, None)
            time.sleep(_POLL)
            self._claims[claim] = None

    def in_progress(self) -> list[Call]:
        """Returns the calls in progress, and removes those whose frame ended without ``end``."""
        found = []
        for claim in tuple(self._claims):
            call = claim()
            if call is None:
                self.end(claim, None)
            else:
                found.append(call)
        return found

    def wait(self, end: float) -> None:
        """Waits for the calls of other threads until ``end`` on the monotonic clock at most."""
        # A call of this thread cannot end: a signal handler that it runs forks.
        this_thread = threading.get_ident()
        while any(call.thread != this_thread for call in self.in_progress()) and time.monotonic() < end:
            time.sleep(_POLL)

    def clear(self) -> None:
        """Ends all calls; in the child of a fork, which has no other threads."""
        self._claims.clear()
