"""Puts what was measured into ``docs/``: tables between their markers, and the pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from .loopback import CHECKOUT
from .report import Table

PAGE = CHECKOUT / "docs" / "performance.md"
PICTURES = CHECKOUT / "docs" / "performance"


def with_tables(page: str, tables: Sequence[Table]) -> str:
    """Returns a page with new tables between ``<!-- table: NAME -->`` and ``<!-- end -->``.

    Raises:
        ValueError: The page has no place for a table.
    """
    for table in tables:
        place = re.compile(rf"(<!-- table: {re.escape(table.name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        found = place.search(page)
        if found is None:
            raise ValueError(f"the page has no place for the table {table.name}")
        page = f"{page[: found.start()]}{found[1]}\n{table.markdown()}\n{found[2]}{page[found.end() :]}"
    return page


def write(tables: Sequence[Table], pictures: Mapping[str, str], page: Path = PAGE, folder: Path = PICTURES) -> None:
    """Writes the tables into the page, and the pictures beside it."""
    page.write_text(with_tables(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_text(picture, encoding="utf-8")
