"""A condition of a transaction as SQL."""

from __future__ import annotations

import sqlite3

import pytest

from open_alchemy.package_database.core.operations import AllOf, AnyOf, AtLeast, Below, Condition, Equal, Item, Missing
from open_alchemy.package_database.engines.sql.conditions import holds, render

CONDITIONS: list[Condition | None] = [
    None,
    Missing("a"),
    Equal("a", "9"),
    Below("a", "10"),
    AtLeast("a", "10"),
    AllOf(()),
    AnyOf(()),
    AllOf((Missing("b"), Below("a", "10"))),
    AnyOf((Equal("b", "x"), AtLeast("a", "9"))),
]


@pytest.mark.parametrize("item", [{}, {"a": "9"}, {"a": "10"}, {"a": "100", "b": "x"}])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_sql_of_a_condition_holds_when_the_condition_does(condition: Condition | None, item: Item) -> None:
    text, parameters = render(condition, "?")
    values = (item.get("a"), item.get("b"))
    query = text.replace("IS NOT DISTINCT FROM", "IS")

    with sqlite3.connect(":memory:") as connection:
        ((found,),) = connection.execute(
            f"WITH item (a, b) AS (VALUES (?, ?)) SELECT {query} FROM item",  # noqa: S608 (a test)
            (*values, *parameters),
        )
    connection.close()

    assert bool(found) == (condition is None or holds(condition, item))
