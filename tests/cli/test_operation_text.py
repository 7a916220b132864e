"""The text of each operation, as the tour prints it."""

from __future__ import annotations

from typing import Any

import pytest

from open_alchemy.package_database.cli.operation_text import Explanation, count_items, explain
from open_alchemy.package_database.core.operations import (
    AllOf,
    AnyOf,
    Below,
    Check,
    Delete,
    Equal,
    Get,
    Missing,
    Page,
    Put,
    Query,
    Scan,
    StoreOperation,
    Transact,
)
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS

KEY = {"sub": "u1", "id": "1"}
WRITES = Transact(
    (
        Put(CREDENTIALS, KEY, Missing("sub")),
        Delete(CREDENTIALS, {**KEY, "id": "2"}, AnyOf((Equal("revision", "r"), Missing("revision")))),
        Check(CREDENTIALS, {**KEY, "id": "3"}, AllOf((Below("updated_at", "7"), Equal("version", "1")))),
    )
)


@pytest.mark.parametrize(
    ("operation", "explanation"),
    [
        (Get(CREDENTIALS, KEY), Explanation("Get", "package.credentials", ("sub = u1, id = 1",))),
        (
            Query(SPECS, "u1", "latest#", limit=2, after={"sub": "u1", "updated_at_id": "latest#a"}),
            Explanation(
                "Query",
                "package.specs",
                (
                    "sub = u1, updated_at_id begins with latest#",
                    "at most 2 items",
                    "after sub = u1, updated_at_id = latest#a",
                ),
            ),
        ),
        (
            Query(SPECS, "u1", "a#", SPECS.indexes[0], ("version",)),
            Explanation(
                "Query",
                "package.specs, index idUpdatedAt",
                ("sub = u1, id_updated_at begins with a#, of which version",),
            ),
        ),
        (Scan(SPECS, 10), Explanation("Scan", "package.specs", ("at most 10 items",))),
        (
            Scan(CREDENTIALS, 10, KEY, "u1"),
            Explanation("Scan", "package.credentials", ("sub = u1", "at most 10 items", "after sub = u1, id = 1")),
        ),
        (
            WRITES,
            Explanation(
                "Transact",
                "package.credentials",
                (
                    "put sub = u1, id = 1 if absent",
                    "delete sub = u1, id = 2 if revision is r, or revision is missing",
                    "check sub = u1, id = 3 if updated_at < 7 and version is 1",
                ),
            ),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_operation_is_explained(operation: StoreOperation, explanation: Explanation) -> None:
    assert explain(operation) == explanation


@pytest.mark.parametrize(
    ("operation", "result", "count"),
    [
        (Get(CREDENTIALS, KEY), None, 0),
        (Get(CREDENTIALS, KEY), {}, 1),
        (Query(SPECS, "u1"), [{}, {}], 2),
        (Scan(SPECS, 10), Page(({}, {}, {}), None), 3),
        (WRITES, {}, 2),
        (WRITES, {0: None}, 0),
    ],
)
def test_the_items_of_an_operation_are_counted(operation: StoreOperation, result: Any, count: int) -> None:
    assert count_items(operation, result) == count
