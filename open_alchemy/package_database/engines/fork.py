"""One registry of the objects that must act when the process forks."""

from __future__ import annotations

import os
import time
import weakref
from typing import Final, Protocol

_WAIT_SECONDS: Final = 1.0
"""How long a fork waits for calls in progress, over all registered objects."""


class Forkable(Protocol):
    """Holds locks or connections that a child process must not inherit."""

    def before_fork(self, end: float) -> None:
        """Prepares for a fork; waits for calls in progress until ``end`` on the monotonic clock at most."""

    def after_fork_in_parent(self) -> None:
        """Resumes work in the parent."""

    def after_fork_in_child(self) -> None:
        """Replaces locks and discards connections in the child."""


_registered: Final[weakref.WeakSet[Forkable]] = weakref.WeakSet()
_forking: Final[list[Forkable]] = []
"""Strong references during a fork: an object must not be collected between its hooks."""


def register(target: Forkable) -> None:
    """Calls the hooks of an object at every fork, as long as the object exists."""
    _registered.add(target)


def _before() -> None:
    _forking[:] = list(_registered)
    end = time.monotonic() + _WAIT_SECONDS
    for target in _forking:
        target.before_fork(end)


def _after_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()


def _after_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
