"""The id of a spec is stored, so it must be the same in all versions of Python and of every dependency."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from open_alchemy.package_database.model.keys import spec_id


@given(st.from_regex(re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII), fullmatch=True))
def test_the_id_is_that_of_pep_503_for_the_names_that_it_covers(name: str) -> None:
    assert spec_id(name) == canonicalize_name(name)


@given(st.text())
def test_the_id_is_that_of_packaging_20_to_25_for_all_names(name: str) -> None:
    assert spec_id(name) == re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My.Spec", "my-spec"),
        ("._-a-_.b--", "-a-b-"),
        ("-", "-"),
        ("\u0391\u03a3.\u0392", "\u03b1\u03c2-\u03b2"),  # a capital sigma at the end of a word
        ("\u0391\u03a3\u0392", "\u03b1\u03c3\u03b2"),
        ("İ", "i̇"),
        ("a\u2024b\u2010c", "a\u2024b\u2010c"),
        ("ẞ_é", "ß-é"),
    ],
)
def test_the_ids_of_other_names_are_fixed(name: str, expected: str) -> None:
    assert spec_id(name) == expected
