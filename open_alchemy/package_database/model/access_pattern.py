"""What an access pattern is: a question, and the steps that answer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, ParamSpec, TypeVar

from ..core.operations import Steps

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class AccessPattern(NamedTuple, Generic[Parameters, Answer]):
    """One function of the database.

    Attributes:
        question: What it answers or does, in a user's words.
        steps: Its steps: a generator function that takes checked keyword arguments.
        unbounded: Whether it moves any number of items, so that its deadline bounds standing still.
    """

    question: str
    steps: Callable[Parameters, Steps[Answer]]
    unbounded: bool

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.steps.__name__


def access_pattern(
    question: str, *, unbounded: bool = False
) -> Callable[[Callable[Parameters, Steps[Answer]]], AccessPattern[Parameters, Answer]]:
    """Makes an access pattern of a generator function."""

    def decorate(steps: Callable[Parameters, Steps[Answer]]) -> AccessPattern[Parameters, Answer]:
        return AccessPattern(question, steps, unbounded)

    return decorate
