"""A selection of parameters: each pair of values once, instead of every combination."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

from hypothesis import settings


def pairwise(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Returns rows that together contain every pair of values that occurs in a row: few, but not the fewest possible.

    ``allpairspy`` does this too, but not for a set of rows from which invalid combinations were removed.
    """
    chosen: list[tuple[Any, ...]] = []
    seen: set[tuple[tuple[int, Any], ...]] = set()
    rows = list(rows)
    most = max(len(list(combinations(row, 2))) for row in rows)
    for least in range(most, 0, -1):
        for row in rows:
            pairs = set(combinations(enumerate(row), 2))
            if len(pairs - seen) >= least:
                chosen.append(row)
                seen |= pairs
    return chosen


def is_long() -> bool:
    """Returns whether the tests run with ``--long``. Parameters that are not collected cost no time."""
    return settings.get_current_profile_name() == "long"


def selected(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Returns the pairwise selection of rows; every row with ``--long``."""
    return list(rows) if is_long() else pairwise(rows)
