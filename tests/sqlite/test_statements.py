"""Operations as SQL, without a database, and SQLite's plans for them."""

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
from open_alchemy.package_database.engines.sql.dialect import Dialect
from open_alchemy.package_database.engines.sql.execution import SQLExecution
from open_alchemy.package_database.engines.sql.statements import Statement, TableStatements, prefix_end
from open_alchemy.package_database.engines.sqlite.dialect import SQLITE
from open_alchemy.package_database.model.schema import CREDENTIALS, ID_UPDATED_AT, PUBLIC_KEY, SPECS, TABLES

SQL = SQLExecution(TABLES, SQLITE)
SPEC_STATEMENTS, STATEMENTS = SQL.of(SPECS), SQL.of(CREDENTIALS)
COLUMNS = 'item."sub", item."id", item."public_key", item."secret_key_hash", item."salt", item."encoding"'
SELECT = f'SELECT {COLUMNS} FROM "package.credentials" AS item'  # noqa: S608 (constants)
KEY = {"sub": "u1", "id": "1"}
ITEM: Item = {**KEY, "public_key": "pk", "secret_key_hash": Secret(b"hash"), "salt": Secret(b"salt")}


def test_a_table_has_a_column_for_each_attribute_and_an_index_for_each_index() -> None:
    assert STATEMENTS.create() == (
        (
            'CREATE TABLE IF NOT EXISTS "package.credentials" ("sub" TEXT, "id" TEXT, "public_key" TEXT, '
            '"secret_key_hash" BLOB, "salt" BLOB, "encoding" TEXT, PRIMARY KEY ("sub", "id")) WITHOUT ROWID'
        ),
        'CREATE UNIQUE INDEX IF NOT EXISTS "package.credentials.publicKey" ON "package.credentials" ("public_key")',
    )


def test_an_item_is_read_by_its_key() -> None:
    assert STATEMENTS.get(KEY) == (f'{SELECT} WHERE item."sub" = ? AND item."id" = ?', ("u1", "1"))


def test_a_query_is_a_range_of_the_sort_key_in_key_order() -> None:
    text, parameters = SPEC_STATEMENTS.query(Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT))

    assert text.endswith(
        'FROM "package.specs" AS item WHERE item."sub" = ? AND item."id_updated_at" >= ? AND item."id_updated_at" < ? '
        'ORDER BY item."id_updated_at", item."updated_at_id"'
    )
    assert parameters == ("u1", "a#", "a$")


def test_a_descending_query_reverses_each_key() -> None:
    query = Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT, after=INDEX_KEY, is_descending=True)

    text, parameters = SPEC_STATEMENTS.query(query)

    assert text.partition(" WHERE ")[2] == (
        'item."sub" = ? AND (item."id_updated_at", item."updated_at_id") < (?, ?) AND item."id_updated_at" >= ? '
        'AND item."id_updated_at" < ? '
        'ORDER BY item."id_updated_at" DESC, item."updated_at_id" DESC'
    )
    assert parameters == ("u1", INDEX_KEY["id_updated_at"], INDEX_KEY["updated_at_id"], "a#", "a$")


def test_a_query_without_a_prefix_has_no_upper_bound() -> None:
    text, parameters = SPEC_STATEMENTS.query(Query(SPECS, "u1"))

    assert text.endswith('WHERE item."sub" = ? AND item."updated_at_id" >= ? ORDER BY item."updated_at_id"')
    assert parameters == ("u1", "")


def test_a_query_of_an_index_without_a_sort_key_has_the_order_of_the_table() -> None:
    text, parameters = STATEMENTS.query(Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY))

    assert text.endswith('WHERE item."public_key" = ? ORDER BY item."sub", item."id"')
    assert parameters == ("pk",)


def test_a_query_of_some_attributes_reads_no_other_columns() -> None:
    query = Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY, attributes=("id", "sub"))

    text, parameters = STATEMENTS.query(query)

    assert text == (
        'SELECT item."sub", item."id" FROM "package.credentials" AS item WHERE item."public_key" = ? '
        'ORDER BY item."sub", item."id"'
    )
    assert parameters == ("pk",)
    assert STATEMENTS.items(query, [("u1", "1")]) == [KEY]


SPEC_KEY = {"sub": "u1", "updated_at_id": "latest#a"}
INDEX_KEY = {"sub": "u1", "updated_at_id": "1#a", "id_updated_at": "a#1"}


def test_a_page_of_a_query_begins_after_the_keys_and_has_a_limit() -> None:
    text, parameters = SPEC_STATEMENTS.query(Query(SPECS, "u1", prefix="latest#", limit=7, after=SPEC_KEY))

    assert text.endswith(
        'WHERE item."sub" = ? AND (item."updated_at_id") > (?) AND item."updated_at_id" < ? '
        'ORDER BY item."updated_at_id" LIMIT ?'
    )
    assert parameters == ("u1", "latest#a", "latest$", 7)


def test_a_page_of_an_index_begins_after_the_keys_of_both() -> None:
    text, parameters = SPEC_STATEMENTS.query(
        Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT, after=INDEX_KEY)
    )

    assert text.endswith(
        'WHERE item."sub" = ? AND (item."id_updated_at", item."updated_at_id") > (?, ?) AND item."id_updated_at" < ? '
        'ORDER BY item."id_updated_at", item."updated_at_id"'
    )
    assert parameters == ("u1", "a#1", "1#a", "a$")


def test_a_page_of_an_index_without_a_sort_key_begins_after_the_keys_of_the_table() -> None:
    text, parameters = STATEMENTS.query(Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY, limit=1, after=KEY))

    assert text.endswith(
        'WHERE item."public_key" = ? AND (item."sub", item."id") > (?, ?) ORDER BY item."sub", item."id" LIMIT ?'
    )
    assert parameters == ("pk", "u1", "1", 1)


@pytest.mark.parametrize(
    ("after", "partition", "bounds", "expected"),
    [
        (None, None, "", ()),
        (KEY, None, 'WHERE (item."sub", item."id") > (?, ?) ', ("u1", "1")),
        (None, "u1", 'WHERE item."sub" = ? ', ("u1",)),
        (KEY, "u1", 'WHERE item."sub" = ? AND item."id" > ? ', ("u1", "1")),
    ],
)
def test_a_page_of_a_scan_is_a_range_of_the_primary_key_and_one_item_more(
    after: Key | None, partition: str | None, bounds: str, expected: tuple[str, ...]
) -> None:
    text, parameters = STATEMENTS.scan(Scan(CREDENTIALS, 10, after, partition))

    assert text == f'{SELECT} {bounds}ORDER BY item."sub", item."id" LIMIT ?'
    assert parameters == (*expected, 11)


def test_an_attribute_without_a_column_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        STATEMENTS.put({**ITEM, "color": "canary", "age": 3})

    assert str(caught.value) == (
        "the item of package.credentials with sub 'u1', id '1' has attributes without a column: 'age', 'color'"
    )


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_of_more_than_64_bits_is_refused(number: int) -> None:
    with pytest.raises(RefusedError, match="'latest#a' has a model_count that does not fit into 64 bits"):
        SPEC_STATEMENTS.put({**SPEC_KEY, "model_count": number})


def test_a_put_replaces_the_item_with_its_key_and_no_other() -> None:
    assert STATEMENTS.put({**KEY, "public_key": "pk"}) == (
        (
            'INSERT INTO "package.credentials" AS item '
            '("sub", "id", "public_key", "secret_key_hash", "salt", "encoding") '
            'VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT ("sub", "id") DO UPDATE SET "public_key" = excluded."public_key", '
            '"secret_key_hash" = excluded."secret_key_hash", "salt" = excluded."salt", "encoding" = excluded."encoding"'
        ),
        ("u1", "1", "pk", None, None, None),
    )


def test_a_row_is_an_item_whose_binary_values_are_secret() -> None:
    item = STATEMENTS.item(("u1", "1", None, b"hash", b"", None))

    assert item == {"sub": "u1", "id": "1", "secret_key_hash": b"hash", "salt": b""}
    assert repr(item["salt"]) == "<0 secret bytes>"


@pytest.mark.parametrize("titles", [("a", "b"), ("a", None), (None, None)])
def test_the_items_of_a_query_lack_what_is_null(titles: tuple[str | None, ...]) -> None:
    query = Query(SPECS, "u1", attributes=("id", "title", "model_count"))

    items = SPEC_STATEMENTS.items(query, [(str(number), 3, title) for number, title in enumerate(titles)])

    expected: list[Item] = [
        {"id": str(number), "model_count": 3, **({} if title is None else {"title": title})}
        for number, title in enumerate(titles)
    ]
    assert list(items) == expected


def test_bytes_in_a_column_of_text_are_secret() -> None:
    query = Query(SPECS, "u1", attributes=("id", "title"))

    first, second = SPEC_STATEMENTS.items(query, [("1", b"canary"), ("2", None)])

    assert repr(first["title"]) == "<6 secret bytes>"
    assert second == {"id": "2"}


def run_steps(sql: SQLExecution, operation: StoreOperation, rows: dict[int, list[tuple[object, ...]]]) -> object:
    """Sends the rows of each statement, by its number, and returns the first words of the statements and the result."""
    steps = sql.steps(operation)
    texts: list[str] = []
    statement: Statement = next(steps)
    try:
        while True:
            texts.append(statement.text.split()[0])
            statement = steps.send(rows.get(len(texts) - 1, []))
    except StopIteration as stop:
        return texts, stop.value


ACTIONS = (
    Put(CREDENTIALS, ITEM, Missing("sub")),
    Delete(CREDENTIALS, KEY),
    Check(SPECS, {"sub": "u1", "updated_at_id": "x"}, Missing("sub")),
)


def test_a_transaction_takes_the_lock_reads_the_old_items_and_writes() -> None:
    statements = ["BEGIN", "SELECT", "SELECT", "INSERT", "DELETE", "COMMIT"]

    assert run_steps(SQL, Transact(ACTIONS), {}) == (statements, {})
    assert SQL.begin.text == "BEGIN IMMEDIATE"


def test_a_transaction_whose_condition_fails_writes_nothing_and_returns_the_old_item() -> None:
    result = run_steps(SQL, Transact(ACTIONS), {1: [("u1", "1", "pk", None, None, None)]})

    assert result == (["BEGIN", "SELECT", "SELECT", "COMMIT"], {0: {**KEY, "public_key": "pk"}})


def test_a_dialect_changes_placeholders_types_row_locks_and_schema() -> None:
    dialect = Dialect(
        types={"S": 'TEXT COLLATE "C"', "N": "BIGINT", "B": "BYTEA"},
        placeholder="%s",
        row_lock=" FOR UPDATE",
        partition="digest({})",
    )
    statements = TableStatements(CREDENTIALS, dialect, schema="shard_1")

    assert statements.get(KEY, for_update=True).text == (
        f'SELECT {COLUMNS} FROM "shard_1"."credentials" AS item '  # noqa: S608 (constants)
        'WHERE digest(item."sub") = digest(%s) AND item."id" = %s FOR UPDATE'
    )
    assert list(statements.create()[:2]) == [
        (
            'CREATE TABLE IF NOT EXISTS "shard_1"."credentials" ("sub" TEXT COLLATE "C", "id" TEXT COLLATE "C", '
            '"public_key" TEXT COLLATE "C", "secret_key_hash" BYTEA, "salt" BYTEA, "encoding" TEXT COLLATE "C")'
        ),
        (
            'CREATE UNIQUE INDEX IF NOT EXISTS "package.credentials.primaryKey" ON "shard_1"."credentials" '
            '(digest("sub"), "id")'
        ),
    ]


letters = st.sampled_from(["a", "b", "#", "\0", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010fffe", "\U0010ffff"])
texts = st.one_of(st.text(letters, max_size=4), st.text(st.characters(exclude_categories=["Cs"]), max_size=4))


@given(prefix=texts, text=texts, is_prefix=st.booleans())
def test_a_text_is_in_the_range_of_a_prefix_if_it_begins_with_it(prefix: str, text: str, *, is_prefix: bool) -> None:
    candidate = (prefix + text if is_prefix else text).encode()

    end = prefix_end(prefix)

    in_range = prefix.encode() <= candidate and (end is None or candidate < end.encode())
    assert in_range is candidate.startswith(prefix.encode())


QUERIES: list[StoreOperation] = [
    Get(SPECS, {"sub": "u1", "updated_at_id": "latest#a"}),
    Get(CREDENTIALS, KEY),
    Query(SPECS, "u1"),
    Query(SPECS, "u1", prefix="latest#"),
    Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT),
    Query(CREDENTIALS, "u1"),
    Query(SPECS, "u1", prefix="latest#", limit=7, after=SPEC_KEY),
    Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT, limit=7, after=INDEX_KEY),
    Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY),
    Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY),
    Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY, attributes=("sub", "id")),
    Scan(SPECS, 10, SPEC_KEY),
    Scan(CREDENTIALS, 10, KEY),
    Scan(SPECS, 10, partition="u1"),
    Scan(CREDENTIALS, 10, KEY, partition="u1"),
]


def plan_of(operation: StoreOperation) -> list[str]:
    """Returns SQLite's plan for a read."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in TABLES:
            for statement in SQL.of(table).create():
                connection.execute(statement)
        text = next(SQL.steps(operation)).text
        found = connection.execute(f"EXPLAIN QUERY PLAN {text}", [0] * text.count("?")).fetchall()
    return [detail for *_, detail in found]


@pytest.mark.parametrize("operation", QUERIES)
def test_every_read_is_a_search_in_an_index_without_a_sort(operation: StoreOperation) -> None:
    (step,) = plan_of(operation)

    assert step.startswith("SEARCH")


@pytest.mark.parametrize(
    ("operation", "found_by"),
    [
        (Scan(SPECS, 10, SPEC_KEY), "PRIMARY KEY ((sub,updated_at_id)>(?,?))"),
        (Scan(SPECS, 10, SPEC_KEY, partition="u1"), "PRIMARY KEY (sub=? AND updated_at_id>?)"),
        (
            Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT),
            "(sub=? AND id_updated_at>? AND id_updated_at<?)",
        ),
        (
            Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT, limit=7, after=INDEX_KEY),
            "(sub=? AND (id_updated_at,updated_at_id)>(?,?) AND id_updated_at<?)",
        ),
        (
            Query(SPECS, "u1", prefix="latest#", limit=7, after=SPEC_KEY),
            "PRIMARY KEY (sub=? AND updated_at_id>? AND updated_at_id<?)",
        ),
        (Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY), "(public_key=?)"),
    ],
)
def test_a_read_is_bounded_by_its_keys(operation: StoreOperation, found_by: str) -> None:
    assert plan_of(operation)[0].endswith(found_by)


@pytest.mark.parametrize("table", TABLES)
def test_the_first_page_of_a_scan_is_read_in_the_order_of_the_keys(table: Table) -> None:
    # Without a sort, the limit ends it after the page.
    assert plan_of(Scan(table, 10)) == ["SCAN item"]
