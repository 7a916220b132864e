"""From an operation to SQL and its parameters, and from rows back to items. Pure: nothing is executed here.

A table of the schema is a SQL table with a column for each attribute, NULL where the item has none, and a secondary
index is a SQL index. Text is compared by its bytes in UTF-8, as DynamoDB does: SQLite's BINARY collation is ``memcmp``.

https://www.sqlite.org/datatype3.html#collating_sequences
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ...core.operations import (
    Action,
    Check,
    Delete,
    Get,
    Item,
    Key,
    Put,
    Query,
    Scan,
    StoreOperation,
    Table,
    Transact,
)
from ...core.secret import Secret
from ...exceptions import RefusedError

Parameters: TypeAlias = tuple[Any, ...]
Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[str, Parameters]

BEGIN: Final = "BEGIN IMMEDIATE"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

_TYPES: Final[Mapping[str, str]] = {"S": "TEXT", "N": "INTEGER", "B": "BLOB"}
_SURROGATES: Final = range(0xD800, 0xE000)
_LAST_LETTER: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class _Texts:
    """The statements of a table, rendered once: its hash is not cheap, and neither is rendering."""

    table: Table
    names: tuple[str, ...]
    attributes: frozenset[str]
    decode: Callable[[Row], Item]
    select: str
    by_key: str
    put: str
    delete: str
    queries: Mapping[str | None, tuple[str, str]]
    """For each index, None for the table: without and with an upper bound of the sort key."""


_TEXTS: dict[str, _Texts] = {}


def create_table(table: Table) -> tuple[str, ...]:
    """Returns the statements that create a table with its indexes, where it is not there yet."""
    key = f"{_quoted(table.partition_key)}, {_quoted(table.sort_key)}"
    columns = ", ".join(f"{_quoted(attribute.name)} {_TYPES[attribute.type]}" for attribute in table.attributes)
    # Items are found by their key alone, so they lie in its index (https://www.sqlite.org/withoutrowid.html).
    create = f"CREATE TABLE IF NOT EXISTS {_quoted(table.name)} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"
    indexes = (
        f"CREATE INDEX IF NOT EXISTS {_quoted(f'{table.name}.{index.name}')} ON {_quoted(table.name)} "
        f"({', '.join(_quoted(name) for name in (index.partition_key, index.sort_key) if name)})"
        for index in table.indexes
    )
    return create, *indexes


def definitions(table: Table) -> Mapping[str, str]:
    """Returns what SQLite notes of a table and of its indexes, by their names.

    https://www.sqlite.org/schematab.html
    """
    names = (table.name, *(f"{table.name}.{index.name}" for index in table.indexes))
    texts_ = (text.replace(" IF NOT EXISTS", "", 1) for text in create_table(table))
    return dict(zip(names, texts_, strict=True))


def drop_table(table: Table) -> str:
    """Returns the statement that drops a table with its indexes."""
    return f"DROP TABLE IF EXISTS {_quoted(table.name)}"


def clear_table(table: Table) -> str:
    """Returns the statement that deletes every item of a table."""
    return f"DELETE FROM {_quoted(table.name)}"  # noqa: S608 (a name of the schema)


def get(table: Table, key: Key) -> Statement:
    """Returns the statement that reads an item by its key."""
    return _texts(table).by_key, _key(table, key)


def query(operation: Query) -> Statement:
    """Returns the statement that reads a partition by sort-key prefix, in key order.

    A prefix is a range of the sort key: LIKE and GLOB would take some of its letters for patterns.
    """
    index = operation.index
    unbounded, bounded = _texts(operation.table).queries[index.name if index else None]
    if index is not None and index.sort_key is None:
        return unbounded, (operation.partition,)
    end = after(operation.prefix)
    if end is None:
        return unbounded, (operation.partition, operation.prefix)
    return bounded, (operation.partition, operation.prefix, end)


def scan(operation: Scan) -> Statement:
    """Returns the statement that reads a page of a table, or of a partition of it, and one item more."""
    table, after_key, partition = operation.table, operation.after, operation.partition
    partition_key, sort_key = _quoted(table.partition_key), _quoted(table.sort_key)
    bounds: str
    parameters: Parameters
    if partition is None:
        bounds, parameters = "", ()
        if after_key is not None:
            bounds, parameters = f" WHERE ({partition_key}, {sort_key}) > (?, ?)", _key(table, after_key)
    else:
        bounds, parameters = f" WHERE {partition_key} = ?", (partition,)
        if after_key is not None:
            # Both keys in a row again would have SQLite read the partition from its beginning.
            bounds, parameters = f"{bounds} AND {sort_key} > ?", (partition, after_key[table.sort_key])
    text = f"{_texts(table).select}{bounds} ORDER BY {partition_key}, {sort_key} LIMIT ?"
    return text, (*parameters, operation.limit + 1)


def old_item(action: Action) -> Statement:
    """Returns the statement that reads the item that an action is about, as it is before it."""
    key = action.table.key_of(action.item) if isinstance(action, Put) else action.key
    return get(action.table, key)


def write(action: Put | Delete) -> Statement:
    """Returns the statement that carries out an action whose condition holds.

    Raises:
        RefusedError: The item has an attribute that the schema does not know, for which there is no column.
    """
    if isinstance(action, Put):
        texts_ = _texts(action.table)
        if not texts_.attributes.issuperset(action.item):
            raise _without_column(action, texts_.attributes)
        return texts_.put, tuple(map(action.item.get, texts_.names))
    return delete(action.table, action.key)


def delete(table: Table, key: Key) -> Statement:
    """Returns the statement that deletes an item by its key."""
    return _texts(table).delete, _key(table, key)


def after(prefix: str) -> str | None:
    """Returns the first text, in the order of bytes in UTF-8, after all that begin with the prefix; None without end.

    The order of the bytes in UTF-8 is that of the code points, among which there are no surrogates.
    """
    stem = prefix.rstrip(_LAST_LETTER)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def decoder(table: Table) -> Callable[[Row], Item]:
    """Returns the function that makes an item of a row, its binary values as ``Secret``."""
    return _texts(table).decode


def texts(operation: StoreOperation) -> tuple[str, ...]:
    """Returns the statements of an operation without their parameters, for people; where all conditions hold."""
    match operation:
        case Get(table, key):
            return (get(table, key)[0],)
        case Query():
            return (query(operation)[0],)
        case Scan():
            return (scan(operation)[0],)
        case Transact(actions):
            reads = (old_item(action)[0] for action in actions if action.condition is not None)
            writes = (write(action)[0] for action in actions if not isinstance(action, Check))
            return BEGIN, *reads, *writes, COMMIT


def _without_column(put: Put, known: frozenset[str]) -> RefusedError:
    key = ", ".join(f"{name} {value!r}" for name, value in put.table.key_of(put.item).items())
    unknown = ", ".join(map(repr, sorted(put.item.keys() - known)))
    return RefusedError(f"the item of {put.table.name} with {key} has attributes without a column: {unknown}")


def _key(table: Table, key: Key) -> Parameters:
    return key[table.partition_key], key[table.sort_key]


def _texts(table: Table) -> _Texts:
    known = _TEXTS.get(table.name)
    if known is None or known.table is not table:
        known = _TEXTS[table.name] = _render(table)
    return known


def _render(table: Table) -> _Texts:
    name, names = _quoted(table.name), tuple(attribute.name for attribute in table.attributes)
    columns = ", ".join(map(_quoted, names))
    select = f"SELECT {columns} FROM {name}"  # noqa: S608 (names of the schema)
    by_key = f"WHERE {_quoted(table.partition_key)} = ? AND {_quoted(table.sort_key)} = ?"
    queries: dict[str | None, tuple[str, str]] = {}
    for index in (None, *table.indexes):
        keys: Any = index or table
        found = f"{select} WHERE {_quoted(keys.partition_key)} = ?"
        # Items with one sort key, or without, have the order of their own keys.
        order = [key for key in (keys.sort_key, table.partition_key, table.sort_key) if key is not None]
        ordered = f" ORDER BY {', '.join(map(_quoted, dict.fromkeys(order)))}"
        if keys.sort_key is None:
            queries[index.name if index else None] = (found + ordered, found + ordered)
        else:
            begins = f"{found} AND {_quoted(keys.sort_key)} >= ?"
            queries[index.name if index else None] = (
                begins + ordered,
                f"{begins} AND {_quoted(keys.sort_key)} < ?{ordered}",
            )
    return _Texts(
        table=table,
        names=names,
        attributes=frozenset(names),
        decode=_decode_secrets(names) if "B" in {attribute.type for attribute in table.attributes} else _decode(names),
        select=select,
        by_key=f"{select} {by_key}",
        put=f"INSERT OR REPLACE INTO {name} ({columns}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608
        delete=f"DELETE FROM {name} {by_key}",  # noqa: S608
        queries=queries,
    )


def _decode(names: tuple[str, ...]) -> Callable[[Row], Item]:
    def decode(row: Row) -> Item:
        return {name: value for name, value in zip(names, row, strict=True) if value is not None}

    return decode


def _decode_secrets(names: tuple[str, ...]) -> Callable[[Row], Item]:
    def decode(row: Row) -> Item:
        return {
            name: Secret(value) if type(value) is bytes else value
            for name, value in zip(names, row, strict=True)
            if value is not None
        }

    return decode


def _quoted(name: str) -> str:
    return f'"{name}"'
