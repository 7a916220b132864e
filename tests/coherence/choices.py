"""Where a simulated history takes its decisions: from a seed, or from a record that can be shrunk."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate


class Choices:
    """Decides by a seeded generator, and records the decisions. Decision 0 is the ordinary one."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random  # noqa: S311 (repeatable)
        self.record: list[int] = []
        self._cumulated: dict[tuple[float, ...], list[float]] = {}

    def pick(self, weights: tuple[float, ...]) -> int:
        """Returns a number below ``len(weights)``."""
        cumulated = self._cumulated.get(weights)
        if cumulated is None:
            cumulated = self._cumulated[weights] = list(accumulate(weights))
        decision = bisect(cumulated, self._random() * cumulated[-1])
        self.record.append(decision)
        return decision


class Script(Choices):
    """Repeats a record: what is not in it is decided 0."""

    def __init__(self, decisions: Mapping[int, int]) -> None:
        super().__init__(0)
        self._decisions = decisions
        self.options: list[int] = []

    def pick(self, weights: tuple[float, ...]) -> int:
        """Returns the recorded decision."""
        decision = min(self._decisions.get(len(self.record), 0), len(weights) - 1)
        self.record.append(decision)
        self.options.append(sum(weight > 0 for weight in weights))
        return decision


def shrink(record: Sequence[int], fails: Callable[[Mapping[int, int]], bool], attempts: int = 400) -> dict[int, int]:
    """Returns fewer decisions other than 0 with which a history still fails."""
    decisions = {number: decision for number, decision in enumerate(record) if decision}
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
