"""A reentrant lock that is unlocked in the child of a fork."""

from __future__ import annotations

import threading

from ..engines import fork


class ForkSafeLock:
    """A reentrant lock. A child process gets a new one: no thread of the child would release that of the parent."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        fork.register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Replaces the lock."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
