"""The wait before a retry. Pure: the source of randomness is an argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_LAST_DOUBLING: Final = 30
_LONGEST_CONTENTION: Final = 0.6
_SHORTEST_CONTENTION: Final = 0.05


def full_jitter(first: float, attempt: int, longest: float, random: Callable[[], float]) -> float:
    """Returns a random number of seconds between 0 and an exponentially growing bound.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Args:
        first: The bound in seconds after the first attempt.
        attempt: The number of attempts before the one that failed.
        longest: The largest bound in seconds.
        random: Returns a random number from 0 to 1.
    """
    return random() * min(longest, first * 2.0 ** min(attempt, _LAST_DOUBLING))


def contention_backoff(attempt: int, random: Callable[[], float]) -> float:
    """Returns a random number of seconds between 0 and a bound that halves with each attempt.

    Of concurrent writers, one always succeeds. The others need not fear to overload the store, but a writer that has
    waited must go before one that has just begun: an increasing bound makes the slowest write 3 times as slow
    (docs/simulation.md).

    Args:
        attempt: The number of earlier waits of this write.
        random: Returns a random number from 0 to 1.
    """
    bound = _LONGEST_CONTENTION * 2.0 ** -min(attempt, _LAST_DOUBLING)
    return random() * max(_SHORTEST_CONTENTION, bound)
