"""The generated documentation matches the code."""

from __future__ import annotations

from docs import generate


def test_the_page_of_the_tables_is_up_to_date() -> None:
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page()


def test_no_secret_is_documented() -> None:
    assert "b'hash'" not in generate.page()
