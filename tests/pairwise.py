"""A selection of parameters: each pair of values once, instead of every combination."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pytest


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


def others_long(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Returns every row as a set of parameters; those that are not in the pairwise selection are marked long."""
    rows = list(rows)
    selected = set(pairwise(rows))
    return [pytest.param(*row, marks=() if row in selected else pytest.mark.long) for row in rows]
