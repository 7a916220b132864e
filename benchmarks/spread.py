"""What many measurements say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some measurements, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Returns the spread of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(median(values), low, high)


def ratios(upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """Returns the ratios of measurements that were made in turns: each to the one of its own round."""
    return [above / below for above, below in zip(upper, lower, strict=True)]


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Returns the power of the size with which the cost grows: the slope of the line through the logarithms.

    Fitted by least squares. 0 is a cost that stays, 1 one that grows as the size does.
    """
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = fmean(x), fmean(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - mean_x) ** 2 for a in x)
