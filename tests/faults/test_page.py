from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults import broker, postgresql
from tests.faults.__main__ import INTRODUCTION, PAGE, SERVERS, page
from tests.faults.faults import LATE, PERMANENT, TRANSIENT
from tests.faults.postgresql import ServerFault


def test_the_page_lists_every_fault() -> None:
    text = PAGE.read_text(encoding="utf-8")
    titles = [*(f"{name}, once" for name in TRANSIENT), *(f"{name}, permanently" for name in PERMANENT), *LATE]

    assert text.startswith(INTRODUCTION)
    assert text.endswith(SERVERS)
    rows = text.removeprefix(INTRODUCTION).removesuffix(SERVERS).splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == titles


@pytest.mark.parametrize(
    ("folder", "faults"), [("postgresql", postgresql.FAULTS), ("broker", [row for row, _ in broker.FAULTS])]
)
def test_each_fault_of_a_server_has_a_test(folder: str, faults: Iterable[ServerFault]) -> None:
    named = [row.test.split("::") for row in faults]

    texts = {file: (Path(__file__).parents[1] / folder / file).read_text(encoding="utf-8") for file, _ in named}
    missing = [name for file, name in named if f"def {name}(" not in texts[file]]

    assert missing == []


@pytest.mark.long
def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
