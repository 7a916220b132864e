"""Where a simulated history takes its decisions: from a seed, or from a record that can be shrunk."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple


class Weights(NamedTuple):
    """The options of a decision.

    Attributes:
        bounds: The cumulated probabilities, except the last.
        ordinary: The first possible option, which a script takes unless it states another one.
        possible: The numbers of the possible options.
    """

    bounds: tuple[float, ...]
    ordinary: int
    possible: tuple[int, ...]


def weights(*values: float) -> Weights:
    """Returns the options with these probabilities, in any unit."""
    total = sum(values)
    possible = tuple(number for number, value in enumerate(values) if value)
    return Weights(tuple(accumulate(value / total for value in values[:-1])), possible[0], possible)


def equal(count: int) -> Weights:
    """Returns equally probable options."""
    return weights(*(1,) * count)


COIN = equal(2)


class Choices:
    """Decides by a seeded generator, and records the decisions."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random  # noqa: S311 (repeatable)
        self.record: list[int] = []

    def pick(self, options: Weights) -> int:
        """Returns the number of an option."""
        decision = bisect(options.bounds, self._random())
        self.record.append(decision)
        return decision


class Script(Choices):
    """Repeats a record: what is not in it is the ordinary option.

    Attributes:
        options: The options of each decision.
    """

    def __init__(self, decisions: Mapping[int, int]) -> None:
        super().__init__(0)
        self._decisions = decisions
        self.options: list[Weights] = []

    def pick(self, options: Weights) -> int:
        """Returns the recorded decision."""
        decision = self._decisions.get(len(self.record), options.ordinary)
        if decision not in options.possible:
            decision = options.ordinary
        self.record.append(decision)
        self.options.append(options)
        return decision


def shrink(record: Sequence[int], fails: Callable[[Mapping[int, int]], bool], attempts: int = 400) -> Mapping[int, int]:
    """Returns fewer decisions with which a history still fails."""
    decisions = dict(enumerate(record))
    size = len(decisions) // 2
    while size and attempts > 0:
        start = 0
        while start < len(decisions) and attempts > 0:
            attempts -= 1
            removed = list(decisions)[start : start + size]
            fewer = {number: decision for number, decision in decisions.items() if number not in removed}
            if fails(fewer):
                decisions = fewer
            else:
                start += size
        size //= 2
    return decisions
