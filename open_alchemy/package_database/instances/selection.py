"""The selection of an instance, as the value of a ``ContextVar``.

The value is a tuple of the selections in progress, the innermost last. A selection that ends removes itself alone,
wherever it is: a generator may end its selection after its caller started another, and in another context, which has
no token to reset.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .instance import Instance


class Selection:
    """A selected instance; compared by identity, because the same instance may be selected twice.

    Attributes:
        target: The id of an instance of the file, which each call looks up; or an instance of the caller's own.
    """

    __slots__ = ("target",)

    def __init__(self, target: str | Instance) -> None:
        self.target = target


_selections: Final[ContextVar[tuple[Selection, ...]]] = ContextVar("package_database_instance", default=())


def selected() -> str | Instance | None:
    """Returns the target of the innermost selection of the current context, if there is one."""
    selections = _selections.get()
    return selections[-1].target if selections else None


@contextmanager
def select(target: str | Instance) -> Iterator[None]:
    """Selects an instance in the current context, and for tasks and threads that copy it."""
    selection = Selection(target)
    _selections.set((*_selections.get(), selection))
    try:
        yield
    finally:
        _selections.set(tuple(other for other in _selections.get() if other is not selection))


@contextmanager
def select_only(target: str | Instance | None) -> Iterator[None]:
    """Selects an instance for one request: at the end the context has the selections that it had before.

    That removes those which generators of the request have left. Both ends must be in the same context.
    """
    before = _selections.get()
    _selections.set(() if target is None else (Selection(target),))
    try:
        yield
    finally:
        _selections.set(before)
