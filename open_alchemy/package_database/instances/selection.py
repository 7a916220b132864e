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
    """Selects an instance in the current context, and for tasks and threads that copy it: a context manager.

    It is no decorator: a coroutine would run after its call has returned.

    Attributes:
        target: The id of an instance of the file, which each call looks up; or an instance that is not in the file.
    """

    __slots__ = ("target",)

    def __init__(self, target: str | Instance) -> None:
        self.target = target

    def __enter__(self) -> None:
        _selections.set((*_selections.get(), self))

    def __exit__(self, *_: object) -> None:
        selections = _selections.get()
        for position in reversed(range(len(selections))):
            if selections[position] is self:
                _selections.set(selections[:position] + selections[position + 1 :])
                return


_selections: Final[ContextVar[tuple[Selection, ...]]] = ContextVar("package_database_instance", default=())


def selected() -> str | Instance | None:
    """Returns the target of the innermost selection of the current context, if there is one."""
    selections = _selections.get()
    return selections[-1].target if selections else None


@contextmanager
def select_only(target: str) -> Iterator[None]:
    """Selects an instance for one request: at the end the context has the selections that it had before.

    That removes those which suspended generators of the request have left. A request that never ended is collected in
    the context of another one, which keeps its own.
    """
    before, own = _selections.get(), Selection(target)
    _selections.set((own,))
    try:
        yield
    finally:
        if own in _selections.get():
            _selections.set(before)
