"""Operations as text."""

from __future__ import annotations

import pytest

from open_alchemy.package_database.cli.operation_text import Explanation, count_items, explain
from open_alchemy.package_database.core.operations import Page, Scan
from open_alchemy.package_database.model.schema import CREDENTIALS

KEY = {"sub": "u1", "id": "1"}


@pytest.mark.parametrize(
    ("scan", "asked"),
    [
        (Scan(CREDENTIALS, 7), ("at most 7 items",)),
        (Scan(CREDENTIALS, 7, partition="u1"), ("sub = u1", "at most 7 items")),
        (Scan(CREDENTIALS, 7, KEY), ("at most 7 items", "after sub = u1, id = 1")),
    ],
)
def test_a_scan_is_explained_with_its_start_and_limit(scan: Scan, asked: tuple[str, ...]) -> None:
    assert explain(scan) == Explanation("Scan", "package.credentials", asked)


def test_the_items_of_a_scan_are_those_of_its_page() -> None:
    assert count_items(Scan(CREDENTIALS, 7), Page((KEY, KEY), KEY)) == 2
