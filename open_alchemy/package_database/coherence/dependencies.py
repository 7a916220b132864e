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


class _Constant:
    __slots__ = ("_is_valid", "_name")

    def __init__(self, name: str, *, is_valid: bool) -> None:
        self._name, self._is_valid = name, is_valid

    def __repr__(self) -> str:
        return self._name

    def is_valid(self) -> bool:
        return self._is_valid


NOT_CACHEABLE: Final[Dependency] = _Constant("NOT_CACHEABLE", is_valid=False)
"""A read through a broker whose answer was not cacheable."""
UNTRACKED: Final[Dependency] = _Constant("UNTRACKED", is_valid=False)
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
