"""Tables as they exist in a file: creates them, adds what an earlier version did not create, and compares them.

An upgrade adds columns of optional attributes, and makes indexes unique. It is one transaction, so that it is complete
or absent after a crash, and any number of processes may attempt it at once. It never removes a column, and does not add
one of a required attribute: a file that lacks one is damaged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from ...core.operations import Index, Table
from ..sql.execution import COMMIT, SQLExecution
from .dialect import SQLITE

SCHEMA_VERSION: Final = 1


class _StoredTable(NamedTuple):
    """A table in a file: the types of its columns by name, and its primary key."""

    columns: dict[str, str]
    key: tuple[str, ...]


class _StoredIndex(NamedTuple):
    """An index in a file."""

    is_unique: bool
    key: tuple[str, ...]


def create_tables(connection: sqlite3.Connection, tables: Sequence[Table]) -> None:
    """Creates the tables that are missing, and sets the version of the schema."""
    sql = SQLExecution(tables, SQLITE)
    for table in tables:
        for statement in sql.of(table).create():
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def upgrade_tables(connection: sqlite3.Connection, tables: Sequence[Table]) -> None:
    """Adds columns and makes indexes unique; a non-unique index with duplicate keys stays as it is."""
    if not any(_missing_columns(connection, table) or _plain_indexes(connection, table) for table in tables):
        return
    sql = SQLExecution(tables, SQLITE)
    with transaction(connection):
        # Another process may have upgraded the file meanwhile.
        for table in tables:
            for name in _missing_columns(connection, table):
                connection.execute(sql.of(table).add_column(name))
            for index in _plain_indexes(connection, table):
                name = _index_name(table, index)
                _replace_index(connection, name, sql.of(table).definitions()[name])


def differences(connection: sqlite3.Connection, table: Table) -> list[str]:
    """Returns how a table and its indexes differ from the schema, in sentences; empty if they do not."""
    stored = _stored_table(connection, table)
    if not stored.columns:
        return ["the table is missing"]
    found = []
    for attribute in table.attributes:
        expected = SQLITE.types[attribute.type]
        if (type_ := stored.columns.get(attribute.name)) is None:
            found.append(f"the column {attribute.name} is missing")
        elif type_ != expected:
            found.append(f"the column {attribute.name} has the type {type_ or 'none'} instead of {expected}")
    if stored.key != (key := (table.partition_key, table.sort_key)):
        found.append(f"the primary key is ({', '.join(stored.key)}) instead of ({', '.join(key)})")
    for index in table.indexes:
        found += _index_differences(connection, table, index)
    return found


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its start; rolled back if the block raises."""
    connection.execute(SQLITE.begin)
    try:
        yield
        connection.execute(COMMIT.text)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _index_differences(connection: sqlite3.Connection, table: Table, index: Index) -> list[str]:
    stored = _stored_index(connection, table, index)
    if stored is None:
        return [f"the index {index.name} is missing"]
    found = []
    if stored.key != (key := _key_of(index)):
        found.append(f"the key of the index {index.name} is ({', '.join(stored.key)}) instead of ({', '.join(key)})")
    if stored.is_unique != index.is_unique:
        found.append(f"the index {index.name} is {'unique' if stored.is_unique else 'not unique'}")
    return found


def _missing_columns(connection: sqlite3.Connection, table: Table) -> list[str]:
    """Returns the optional attributes without a column."""
    stored = _stored_table(connection, table)
    if not stored.columns:
        return []
    return [found.name for found in table.attributes if found.is_optional and found.name not in stored.columns]


def _plain_indexes(connection: sqlite3.Connection, table: Table) -> list[Index]:
    """Returns the indexes that must be unique and are not."""
    unique = [index for index in table.indexes if index.is_unique]
    return [
        index
        for index in unique
        if _stored_index(connection, table, index) == _StoredIndex(is_unique=False, key=_key_of(index))
    ]


def _replace_index(connection: sqlite3.Connection, name: str, definition: str) -> None:
    connection.execute("SAVEPOINT replace_index")
    try:
        connection.execute(f'DROP INDEX "{name}"')
        connection.execute(definition)
    except sqlite3.IntegrityError:
        # Duplicate keys: `tables describe` reports the index.
        connection.execute("ROLLBACK TO replace_index")
    connection.execute("RELEASE replace_index")


def _stored_table(connection: sqlite3.Connection, table: Table) -> _StoredTable:
    """Returns a table as it exists; without columns if it does not."""
    found = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (table.name,)).fetchall()
    key = sorted((place, name) for name, _, place in found if place)
    return _StoredTable({name: type_ for name, type_, _ in found}, tuple(name for _, name in key))


def _stored_index(connection: sqlite3.Connection, table: Table, index: Index) -> _StoredIndex | None:
    """Returns an index as it exists. A partial index does not contain every item, and counts as missing."""
    name = _index_name(table, index)
    query = 'SELECT "unique" FROM pragma_index_list(?) WHERE name = ? AND NOT partial'
    found = connection.execute(query, (table.name, name)).fetchone()
    if found is None:
        return None
    key = connection.execute("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (name,)).fetchall()
    return _StoredIndex(bool(found[0]), tuple(str(column) for (column,) in key))


def _index_name(table: Table, index: Index) -> str:
    return f"{table.name}.{index.name}"


def _key_of(index: Index) -> tuple[str, ...]:
    return (index.partition_key,) if index.sort_key is None else (index.partition_key, index.sort_key)
