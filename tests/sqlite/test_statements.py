"""Operations as SQL, without a database; and the plans that SQLite makes for them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_alchemy.package_database import RefusedError
from open_alchemy.package_database.core.operations import (
    Check,
    Delete,
    Get,
    Item,
    Key,
    Missing,
    Put,
    Query,
    Scan,
    StoreOperation,
    Table,
    Transact,
)
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.sql import statements
from open_alchemy.package_database.model.schema import CREDENTIALS, ID_UPDATED_AT, PUBLIC_KEY, SPECS, TABLES

COLUMNS = '"sub", "id", "public_key", "secret_key_hash", "salt"'
KEY = {"sub": "u1", "id": "1"}
ITEM: Item = {**KEY, "public_key": "pk", "secret_key_hash": Secret(b"hash"), "salt": Secret(b"salt")}


def test_a_table_has_a_column_for_each_attribute_and_an_index_for_each_index() -> None:
    assert statements.create_table(CREDENTIALS) == (
        (
            'CREATE TABLE IF NOT EXISTS "package.credentials" ("sub" TEXT, "id" TEXT, "public_key" TEXT, '
            '"secret_key_hash" BLOB, "salt" BLOB, PRIMARY KEY ("sub", "id")) WITHOUT ROWID'
        ),
        'CREATE INDEX IF NOT EXISTS "package.credentials.publicKey" ON "package.credentials" ("public_key")',
    )


def test_an_item_is_read_by_its_key() -> None:
    text, parameters = statements.get(CREDENTIALS, KEY)

    assert text == f'SELECT {COLUMNS} FROM "package.credentials" WHERE "sub" = ? AND "id" = ?'  # noqa: S608 (a constant)
    assert parameters == ("u1", "1")


def test_a_query_is_a_range_of_the_sort_key_in_key_order() -> None:
    text, parameters = statements.query(Query(SPECS, "u1", prefix="a#", index=ID_UPDATED_AT))

    assert text.endswith(
        'FROM "package.specs" WHERE "sub" = ? AND "id_updated_at" >= ? AND "id_updated_at" < ? '
        'ORDER BY "id_updated_at", "sub", "updated_at_id"'
    )
    assert parameters == ("u1", "a#", "a$")


def test_a_query_without_a_prefix_has_no_end() -> None:
    text, parameters = statements.query(Query(SPECS, "u1"))

    assert text.endswith('WHERE "sub" = ? AND "updated_at_id" >= ? ORDER BY "updated_at_id", "sub"')
    assert parameters == ("u1", "")


def test_a_query_of_an_index_without_a_sort_key_has_the_order_of_the_table() -> None:
    text, parameters = statements.query(Query(CREDENTIALS, "pk", index=PUBLIC_KEY))

    assert text.endswith('WHERE "public_key" = ? ORDER BY "sub", "id"')
    assert parameters == ("pk",)


SPEC_KEY = {"sub": "u1", "updated_at_id": "latest#a"}


@pytest.mark.parametrize(
    ("after", "partition", "bounds", "expected"),
    [
        (None, None, "", ()),
        (KEY, None, 'WHERE ("sub", "id") > (?, ?) ', ("u1", "1")),
        (None, "u1", 'WHERE "sub" = ? ', ("u1",)),
        (KEY, "u1", 'WHERE "sub" = ? AND "id" > ? ', ("u1", "1")),
    ],
)
def test_a_page_of_a_scan_is_a_range_of_the_primary_key_and_one_item_more(
    after: Key | None, partition: str | None, bounds: str, expected: tuple[str, ...]
) -> None:
    text, parameters = statements.scan(Scan(CREDENTIALS, 10, after, partition))

    assert text == f'SELECT {COLUMNS} FROM "package.credentials" {bounds}ORDER BY "sub", "id" LIMIT ?'  # noqa: S608 (constants)
    assert parameters == (*expected, 11)


def test_an_attribute_without_a_column_is_refused_and_not_left_out() -> None:
    put = Put(CREDENTIALS, {**ITEM, "color": "canary", "age": 3})

    with pytest.raises(RefusedError) as caught:
        statements.write(put)

    assert str(caught.value) == (
        "the item of package.credentials with sub 'u1', id '1' has attributes without a column: 'age', 'color'"
    )


def test_a_put_replaces_the_whole_item() -> None:
    assert statements.write(Put(CREDENTIALS, {**KEY, "public_key": "pk"})) == (
        f'INSERT OR REPLACE INTO "package.credentials" ({COLUMNS}) VALUES (?, ?, ?, ?, ?)',  # noqa: S608 (a constant)
        ("u1", "1", "pk", None, None),
    )


def test_an_item_is_deleted_by_its_key() -> None:
    deletion = ('DELETE FROM "package.credentials" WHERE "sub" = ? AND "id" = ?', ("u1", "1"))

    assert statements.write(Delete(CREDENTIALS, KEY)) == deletion
    assert statements.delete(CREDENTIALS, KEY) == deletion


def test_a_row_is_an_item_whose_binary_values_are_secret() -> None:
    item = statements.decoder(CREDENTIALS)(("u1", "1", None, b"hash", b"salt"))

    assert item == {"sub": "u1", "id": "1", "secret_key_hash": b"hash", "salt": b"salt"}
    assert repr(item["salt"]) == "<4 secret bytes>"


def test_people_are_shown_the_statements_without_their_values() -> None:
    actions = (
        Put(CREDENTIALS, ITEM, Missing("sub")),
        Delete(CREDENTIALS, KEY),
        Check(SPECS, {"sub": "u1", "updated_at_id": "x"}, Missing("sub")),
    )

    shown = statements.texts(Transact(actions))

    # A transaction that reads first and asks for the lock only then may lose it to another, for ever.
    assert (shown[0], shown[-1]) == ("BEGIN IMMEDIATE", "COMMIT")
    assert [text.split()[0] for text in shown[1:-1]] == ["SELECT", "SELECT", "INSERT", "DELETE"]
    assert "hash'" not in str(shown)
    assert statements.texts(Get(CREDENTIALS, KEY)) == (statements.get(CREDENTIALS, KEY)[0],)


letters = st.sampled_from(["a", "b", "#", "\0", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010fffe", "\U0010ffff"])
texts = st.one_of(st.text(letters, max_size=4), st.text(st.characters(exclude_categories=["Cs"]), max_size=4))


@given(prefix=texts, text=texts, is_prefix=st.booleans())
def test_a_text_is_in_the_range_of_a_prefix_if_it_begins_with_it(prefix: str, text: str, *, is_prefix: bool) -> None:
    candidate = (prefix + text if is_prefix else text).encode()

    end = statements.after(prefix)

    in_range = prefix.encode() <= candidate and (end is None or candidate < end.encode())
    assert in_range is candidate.startswith(prefix.encode())


QUERIES: list[StoreOperation] = [
    Get(SPECS, {"sub": "u1", "updated_at_id": "latest#a"}),
    Get(CREDENTIALS, KEY),
    Query(SPECS, "u1"),
    Query(SPECS, "u1", prefix="latest#"),
    Query(SPECS, "u1", prefix="a#", index=ID_UPDATED_AT),
    Query(CREDENTIALS, "u1"),
    Query(CREDENTIALS, "pk", index=PUBLIC_KEY),
    Scan(SPECS, 10, SPEC_KEY),
    Scan(CREDENTIALS, 10, KEY),
    Scan(SPECS, 10, partition="u1"),
    Scan(CREDENTIALS, 10, KEY, partition="u1"),
]


def plan_of(operation: StoreOperation) -> list[str]:
    """Returns the steps that SQLite takes for a read."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in TABLES:
            for statement in statements.create_table(table):
                connection.execute(statement)
        (text,) = statements.texts(operation)
        found = connection.execute(f"EXPLAIN QUERY PLAN {text}", [0] * text.count("?")).fetchall()
    return [detail for *_, detail in found]


@pytest.mark.parametrize("operation", QUERIES)
def test_every_read_is_found_and_sorted_by_an_index(operation: StoreOperation) -> None:
    (step,) = plan_of(operation)

    assert step.startswith("SEARCH")


@pytest.mark.parametrize(
    ("operation", "found_by"),
    [
        (Scan(SPECS, 10, SPEC_KEY), "PRIMARY KEY ((sub,updated_at_id)>(?,?))"),
        (Scan(SPECS, 10, SPEC_KEY, partition="u1"), "PRIMARY KEY (sub=? AND updated_at_id>?)"),
        (Query(SPECS, "u1", prefix="a#", index=ID_UPDATED_AT), "(sub=? AND id_updated_at>? AND id_updated_at<?)"),
        (Query(CREDENTIALS, "pk", index=PUBLIC_KEY), "(public_key=?)"),
    ],
)
def test_a_read_begins_and_ends_where_its_items_are(operation: StoreOperation, found_by: str) -> None:
    assert plan_of(operation)[0].endswith(found_by)


@pytest.mark.parametrize("table", TABLES)
def test_the_first_page_of_a_scan_is_read_in_the_order_of_the_keys(table: Table) -> None:
    # Without a step that sorts, the limit ends it after the page.
    assert plan_of(Scan(table, 10)) == [f"SCAN {table.name}"]
