"""How long to wait before something is tried again. Pure: randomness comes in."""

from __future__ import annotations

from collections.abc import Callable

_LAST_DOUBLING = 30


def full_jitter(first: float, attempt: int, longest: float, random: Callable[[], float]) -> float:
    """Returns a random number of seconds, from none to an exponentially growing bound.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Args:
        first: The bound in seconds after the first attempt.
        attempt: How many attempts were made before the one that failed.
        longest: The largest bound in seconds.
        random: Returns a random number from 0 to 1.
    """
    return random() * min(longest, first * 2.0 ** min(attempt, _LAST_DOUBLING))
