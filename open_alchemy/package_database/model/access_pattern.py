"""An access pattern: the only definition of a function of the database.

Its parameters, result and docstring become those of the function in both APIs, except for the errors that every
function raises (``docs/protocols.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, ParamSpec, TypeVar

from ..core.operations import Steps

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class StreamPage(NamedTuple, Generic[Answer]):
    """A page of a stream.

    Attributes:
        items: The items.
        after: The argument ``after`` of the next page; None if this is the last.
    """

    items: list[Answer]
    after: str | None


class AccessPattern(NamedTuple, Generic[Parameters, Answer]):
    """One function of the database.

    Attributes:
        question: The question it answers, or what it does, in a user's words.
        steps: The generator function. It takes validated keyword arguments.
        unbounded: Whether it reads or writes any number of items: each page and transaction restarts its deadline.
        is_stream: Whether the function yields the items of pages. The steps then return one ``StreamPage``.
    """

    question: str
    steps: Callable[Parameters, Steps[Answer]]
    unbounded: bool
    is_stream: bool = False

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.steps.__name__


def access_pattern(
    question: str, *, unbounded: bool = False, is_stream: bool = False
) -> Callable[[Callable[Parameters, Steps[Answer]]], AccessPattern[Parameters, Answer]]:
    """Returns a decorator that makes a generator function an access pattern."""

    def decorate(steps: Callable[Parameters, Steps[Answer]]) -> AccessPattern[Parameters, Answer]:
        return AccessPattern(question, steps, unbounded, is_stream)

    return decorate
