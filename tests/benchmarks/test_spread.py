from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.spread import Spread, exponent, ratios


def test_a_spread_is_the_median_between_the_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(median=3.0, low=2.0, high=4.0)


def test_one_value_has_no_spread() -> None:
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


@given(st.lists(st.floats(0.001, 1000), min_size=1))
def test_the_median_lies_between_the_quartiles(values: list[float]) -> None:
    spread = Spread.of(values)

    assert min(values) <= spread.low <= spread.median <= spread.high <= max(values)


def test_a_ratio_compares_what_one_round_measured() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_rounds_that_are_missing_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


@given(st.floats(-2, 2), st.floats(0.001, 1000))
def test_the_exponent_of_a_power_is_found(power: float, factor: float) -> None:
    sizes = [1, 10, 100, 1000]

    assert exponent(sizes, [factor * size**power for size in sizes]) == pytest.approx(power, abs=1e-9)
