"""The one lock of this package. It is held to change state, and while the file of instances is read."""

from __future__ import annotations

import threading
from typing import Final

from ..engines import fork


class StateLock:
    """A lock that the child of a fork replaces, because another thread of the parent may have held it.

    Attributes:
        lock: Reentrant: a signal handler may interrupt a holder and call ``get()``.
    """

    def __init__(self) -> None:
        self.after_fork_in_child()
        fork.register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Replaces the lock."""
        self.lock = threading.RLock()


state: Final = StateLock()
