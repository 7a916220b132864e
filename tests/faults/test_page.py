from __future__ import annotations

import pytest

from tests.faults.__main__ import INTRODUCTION, PAGE, page
from tests.faults.faults import LATE, PERMANENT, TRANSIENT


def test_the_page_lists_every_fault() -> None:
    text = PAGE.read_text(encoding="utf-8")
    titles = [*(f"{name}, once" for name in TRANSIENT), *(f"{name}, permanently" for name in PERMANENT), *LATE]

    assert text.startswith(INTRODUCTION)
    rows = text.removeprefix(INTRODUCTION).splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == titles


@pytest.mark.long
def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
