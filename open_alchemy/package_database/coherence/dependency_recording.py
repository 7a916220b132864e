"""Records what a computation reads through the database.

``record`` collects, in its context, what the reads of engines report: a ``Dependency`` that states at any later time
whether the value that was read is still the newest one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol


class Dependency(Protocol):
    """A value that was read."""

    def is_valid(self) -> bool:
        """Returns whether a read that began now would return this value."""


class _Never:
    def is_valid(self) -> bool:
        return False


NOT_CACHEABLE: Final[Dependency] = _Never()
"""A read through a broker whose answer was not cacheable."""
UNTRACKED: Final[Dependency] = _Never()
"""A read of a store whose changes are not observed."""

_recorder: Final[ContextVar[set[Dependency] | None]] = ContextVar("package_database_dependencies", default=None)


def report(dependencies: Iterable[Dependency]) -> None:
    """Adds to what the computations of the current context depend on."""
    recorder = _recorder.get()
    if recorder is not None:
        recorder.update(dependencies)


def report_untracked() -> None:
    """Reports a read of a store whose changes are not observed."""
    report((UNTRACKED,))


def is_recording() -> bool:
    """Returns whether a report would be recorded."""
    return _recorder.get() is not None


@contextmanager
def record() -> Iterator[set[Dependency]]:
    """Records what is reported in this context and in tasks that copy it, instead of an outer ``record``."""
    dependencies: set[Dependency] = set()
    token = _recorder.set(dependencies)
    try:
        yield dependencies
    finally:
        _recorder.reset(token)
