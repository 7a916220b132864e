"""The contract of a scan, an operation of the administration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.core.operations import Delete, Item, Key, Page, Scan, Table, Transact
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS
from tests.apis import execute
from tests.canary import HASH, SALT


def scan(database: TDatabase, operation: Scan) -> Page:
    page: Page = execute(database, operation)
    return page


def pages(
    database: TDatabase, table: Table, limit: int, *, after: Key | None = None, partition: str | None = None
) -> Iterator[tuple[Item, ...]]:
    while True:
        page = scan(database, Scan(table, limit, after, partition))
        assert len(page.items) <= limit
        yield page.items
        after = page.after
        if after is None:
            return


def keys(database: TDatabase, table: Table, limit: int, partition: str | None = None) -> list[Key]:
    return [table.key_of(item) for page in pages(database, table, limit, partition=partition) for item in page]


def store_credentials(database: TDatabase, number: int, *, sub: str | None = None) -> None:
    database.create_update_credentials(
        sub=sub or f"u{number}", id_=f"é{number}", public_key=f"pk{number}{sub or ''}", secret_key_hash=HASH, salt=SALT
    )


def test_an_empty_table_is_an_empty_page(database: TDatabase) -> None:
    assert scan(database, Scan(SPECS, 10)) == Page((), None)
    assert scan(database, Scan(CREDENTIALS, 10, partition="u1")) == Page((), None)


def test_the_pages_contain_every_item_of_the_table_once(database: TDatabase) -> None:
    for number in range(5):
        store_credentials(database, number)
        database.create_update_spec(sub=f"u{number % 2}", name=f"a{number}", version="1", model_count=1)

    found, specs = keys(database, CREDENTIALS, 100), keys(database, SPECS, 100)

    assert sorted(key["sub"] for key in found) == [f"u{number}" for number in range(5)]
    assert len({tuple(key.values()) for key in specs}) == len(specs) == 10
    for limit in (1, 2, 3, 7):
        assert keys(database, CREDENTIALS, limit) == found
        assert keys(database, SPECS, limit) == specs


def test_the_items_of_a_partition_are_adjacent_and_sorted_by_sort_key(database: TDatabase) -> None:
    for number in (2, 0, 1):
        for sub in ("u2", "u1", "u3"):
            store_credentials(database, number, sub=sub)

    found = [(key["sub"], key["id"]) for key in keys(database, CREDENTIALS, 2)]

    subs = list(dict.fromkeys(sub for sub, _ in found))
    assert found == [(sub, f"é{number}") for sub in subs for number in range(3)]


def test_a_scan_of_a_partition_returns_no_other_partition(database: TDatabase) -> None:
    for number in range(3):
        store_credentials(database, number, sub="u1")
        store_credentials(database, number, sub="u1#")

    found = keys(database, CREDENTIALS, 2, partition="u1")

    assert sorted(key["id"] for key in found) == ["é0", "é1", "é2"]
    assert {key["sub"] for key in found} == {"u1"}


def test_items_have_all_attributes(database: TDatabase) -> None:
    store_credentials(database, 1)

    (item,) = scan(database, Scan(CREDENTIALS, 10)).items

    assert item == {
        "sub": "u1",
        "id": "é1",
        "public_key": "pk1",
        "secret_key_hash": HASH,
        "salt": SALT,
        "encoding": "raw",
    }


@pytest.mark.parametrize("partition", [None, "u"])
def test_a_scan_continues_after_an_item_that_was_deleted(database: TDatabase, partition: str | None) -> None:
    for number in range(4):
        store_credentials(database, number, sub="u")
    expected = keys(database, CREDENTIALS, 100, partition)
    page = scan(database, Scan(CREDENTIALS, 2, partition=partition))
    last = CREDENTIALS.key_of(page.items[-1])
    execute(database, Transact((Delete(CREDENTIALS, last),)))

    rest = [item for items in pages(database, CREDENTIALS, 2, after=last, partition=partition) for item in items]

    assert [CREDENTIALS.key_of(item) for item in rest] == expected[2:]
