"""Operations in words."""

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
def test_a_scan_says_where_it_goes_on_and_how_far(scan: Scan, asked: tuple[str, ...]) -> None:
    assert explain(scan) == Explanation("Scan", "package.credentials", asked)


def test_a_scan_reads_as_many_items_as_its_page_has() -> None:
    assert count_items(Scan(CREDENTIALS, 7), Page((KEY, KEY), KEY)) == 2
