"""The one registry of the objects that must act when the process forks, and a lock that is one of them.

*Order.* Before a fork, the objects prepare in the order of their registration, and share one second to wait for calls
in progress. In the child, they recover in the same order. The parent has no hook per object: it continues when the fork
ends, which is one C call, so that an exception from a signal handler cannot keep later calls waiting.

*Concurrency.* Objects may be registered, and collected, while another thread forks.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Final, Protocol

_WAIT_SECONDS: Final = 1.0
"""How long a fork waits for calls in progress, over all registered objects."""


class Forkable(Protocol):
    """Has locks, threads or connections that a child process must not use."""

    def before_fork(self, end: float) -> None:
        """Prepares for a fork; waits for calls in progress until ``end`` on the monotonic clock at most.

        By default nothing is to be prepared.
        """

    def after_fork_in_child(self) -> None:
        """Replaces locks and drops threads and connections in the child, which has one thread."""


class ForkSafeLock:
    """Has a lock, which a child process replaces: no thread of the child would release that of the parent.

    Attributes:
        lock: Reentrant: a signal handler may interrupt a holder and acquire it too.
    """

    def __init__(self) -> None:
        self.after_fork_in_child()
        register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Replaces the lock. A holder that forked releases the one that it acquired."""
        self.lock = threading.RLock()


_registered: Final[dict[weakref.ref[Forkable], None]] = {}
"""A dict keeps the order, and ``tuple`` copies it atomically."""
_forks: Final[dict[int, int]] = {}
"""The threads that fork, with the process that each of them forks."""


def register(target: Forkable) -> None:
    """Calls the hooks of an object at every fork, as long as the object exists."""
    _registered[weakref.ref(target, _forget)] = None


def is_in_progress() -> bool:
    """Returns whether another thread of this process is forking it."""
    if not _forks:
        return False
    process, this_thread = os.getpid(), threading.get_ident()
    return any(forked == process and thread != this_thread for thread, forked in tuple(_forks.items()))


def _forget(reference: weakref.ref[Forkable]) -> None:
    _registered.pop(reference, None)


def _targets() -> list[Forkable]:
    return [target for reference in tuple(_registered) if (target := reference()) is not None]


def _before() -> None:
    _forks[threading.get_ident()] = os.getpid()
    end = time.monotonic() + _WAIT_SECONDS
    for target in _targets():
        target.before_fork(end)


def _after_in_child() -> None:
    _forks.clear()
    for target in _targets():
        target.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_forks.clear, after_in_child=_after_in_child)
