from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import postgresql
from tests.faults.__main__ import INTRODUCTION, PAGE, page
from tests.faults.faults import LATE, PERMANENT, TRANSIENT


def test_the_page_lists_every_fault() -> None:
    text = PAGE.read_text(encoding="utf-8")
    titles = [*(f"{name}, once" for name in TRANSIENT), *(f"{name}, permanently" for name in PERMANENT), *LATE]

    assert text.startswith(INTRODUCTION)
    assert text.endswith(postgresql.section())
    rows = text.removeprefix(INTRODUCTION).removesuffix(postgresql.section()).splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == titles


def test_each_fault_of_postgresql_has_a_test() -> None:
    folder = Path(__file__).parents[1] / "postgresql"
    named = [row.test.split("::") for row in postgresql.FAULTS]

    missing = [name for file, name in named if f"\ndef {name}(" not in (folder / file).read_text(encoding="utf-8")]

    assert missing == []


@pytest.mark.long
def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
