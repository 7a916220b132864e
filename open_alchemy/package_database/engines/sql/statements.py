"""Renders operations on one table to SQL and parameters. Pure: nothing is executed here.

Each attribute is a column, NULL where an item lacks it, and each secondary index is a SQL index. Text is compared by
its bytes in UTF-8, as in DynamoDB.

Columns of a ``SELECT`` are qualified: SQLite reads a quoted name without such a column as a string literal
(https://www.sqlite.org/quirks.html#double_quoted_string_literals_are_accepted).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from ...core.columnar_items import ItemColumns
from ...core.operations import Index, Item, Key, Query, Scan, Table
from ...core.secret import Secret
from ...exceptions import RefusedError
from .dialect import Dialect

Row: TypeAlias = Sequence[Any]
"""Has a repr without values, where the table has binary attributes."""

_SURROGATES: Final = range(0xD800, 0xE000)
_LAST_CHARACTER: Final = "\U0010ffff"


class Statement(NamedTuple):
    """A SQL statement and its parameters."""

    text: str
    parameters: tuple[Any, ...] = ()


class TableStatements:
    """The statements of one table.

    Args:
        table: The table.
        dialect: The dialect.
        schema: The SQL schema that contains the table, under the last part of its name; empty for the default schema,
            which contains it under its whole name.
    """

    def __init__(self, table: Table, dialect: Dialect, schema: str = "") -> None:
        self.table = table
        self.names = tuple(attribute.name for attribute in table.attributes)
        self._has_binary = any(attribute.type == "B" for attribute in table.attributes)
        self._dialect = dialect
        self._schema = f"{_quoted(schema)}." if schema else ""
        self.sql_name = f"{self._schema}{_quoted(table.name.rpartition('.')[2] if schema else table.name)}"
        self._select = self._render_select(self.names)
        self._columns = ", ".join(map(_quoted, self.names))
        self._key_columns = self._index_columns(table.partition_key, table.sort_key)
        self._sort = _column(table.sort_key)
        self._partition = dialect.partition.format(_column(table.partition_key))
        self._partition_mark = dialect.partition.format(dialect.placeholder)
        key = f"{self._partition} = {self._partition_mark} AND {self._sort} = {dialect.placeholder}"
        self._get = f"{self._select} WHERE {key}"
        self.key_condition = key
        """Is true for the row ``item`` with a key; its parameters are ``key_values``."""
        self._insert = f"INSERT INTO {self.sql_name} AS item ({self._columns})"
        self._on_conflict = self._render_on_conflict()
        values = ", ".join([dialect.placeholder] * len(self.names))
        self._put = f"{self._insert} VALUES ({values}) {self._on_conflict}"
        self._delete = f"DELETE FROM {self.sql_name} AS item WHERE {key}"  # noqa: S608 (names of the schema)

    def definitions(self) -> dict[str, str]:
        """Returns the statements that create the table and its indexes, by the name of what they create."""
        table, types = self.table, self._dialect.types
        columns = ", ".join(f"{_quoted(attribute.name)} {types[attribute.type]}" for attribute in table.attributes)
        has_primary_key = self._key_columns == f"{_quoted(table.partition_key)}, {_quoted(table.sort_key)}"
        primary_key = f", PRIMARY KEY ({self._key_columns})" if has_primary_key else ""
        definitions = {
            table.name: f"CREATE TABLE {self.sql_name} ({columns}{primary_key}){self._dialect.table_options}"
        }
        if not has_primary_key:
            name = f"{table.name}.primaryKey"
            definitions[name] = f"CREATE UNIQUE INDEX {_quoted(name)} ON {self.sql_name} ({self._key_columns})"
        return definitions | {f"{table.name}.{index.name}": self._render_index(index) for index in table.indexes}

    def create(self) -> tuple[str, ...]:
        """Returns the statements that create the table and its indexes where they are missing."""
        return tuple(if_not_exists(text) for text in self.definitions().values())

    def add_column(self, name: str) -> str:
        """Returns the statement that adds the column of an attribute to a table that lacks it."""
        (type_,) = (self._dialect.types[found.type] for found in self.table.attributes if found.name == name)
        return f"ALTER TABLE {self.sql_name} ADD COLUMN {_quoted(name)} {type_}"

    def drop(self) -> str:
        """Returns the statement that drops the table and its indexes."""
        return f"DROP TABLE IF EXISTS {self.sql_name}"

    def clear(self) -> str:
        """Returns the statement that deletes every item."""
        return f"DELETE FROM {self.sql_name}"  # noqa: S608 (a name of the schema)

    def count(self) -> str:
        """Returns the statement that counts the items."""
        return f"SELECT count(*) FROM {self.sql_name}"  # noqa: S608 (a name of the schema)

    def get(self, key: Key, *, for_update: bool = False) -> Statement:
        """Returns the statement that reads an item, and locks it until the end of the transaction ``for_update``."""
        return Statement(self._get + self._dialect.row_lock * for_update, self.key_values(key))

    def query(self, operation: Query) -> Statement:
        """Returns the statement that reads a partition by sort-key prefix, in key order.

        A prefix is a range of the sort key: LIKE and GLOB give some characters a meaning.
        """
        table, mark, after = self.table, self._dialect.placeholder, operation.after
        keys: Table | Index = operation.secondary_index or table
        # Items with the same sort key, or without one, are in the order of their primary key. The partition key has one
        # value here, but PostgreSQL would sort by it, because its index contains a hash.
        order = dict.fromkeys((keys.sort_key, table.partition_key, table.sort_key))
        position = [key for key in order if key is not None and key != keys.partition_key]
        partition = self._dialect.partition.format(_column(keys.partition_key))
        conditions, parameters = [f"{partition} = {self._dialect.partition.format(mark)}"], [operation.partition]
        if after is not None:
            beyond = "<" if operation.is_descending else ">"
            conditions.append(f"({', '.join(map(_column, position))}) {beyond} ({', '.join([mark] * len(position))})")
            parameters += [after[key] for key in position]
        if keys.sort_key is not None and (after is None or operation.is_descending):
            conditions.append(f"{_column(keys.sort_key)} >= {mark}")
            parameters.append(operation.prefix)
        if keys.sort_key is not None and (end := prefix_end(operation.prefix)) is not None:
            conditions.append(f"{_column(keys.sort_key)} < {mark}")
            parameters.append(end)
        direction = " DESC" if operation.is_descending else ""
        where, ordered = " AND ".join(conditions), ", ".join(f"{_column(key)}{direction}" for key in position)
        text = f"{self._render_select(self._names_of(operation))} WHERE {where} ORDER BY {ordered}"
        if operation.limit is None:
            return Statement(text, tuple(parameters))
        return Statement(f"{text} LIMIT {mark}", (*parameters, operation.limit))

    def items(self, operation: Query, rows: Sequence[Row]) -> Sequence[Item]:
        """Returns the items of the rows of a query."""
        names = self._names_of(operation)
        if rows and not self._has_binary:
            items = ItemColumns(dict(zip(names, zip(*rows, strict=True), strict=True)))
            if not any(bytes in types for types in items.types.values()):
                return items
        return [self.item(row, names) for row in rows]

    def scan(self, operation: Scan) -> Statement:
        """Returns the statement that reads a page of the table or of a partition, and one more item."""
        mark, partition, sort = self._dialect.placeholder, self._partition, self._sort
        partition_mark = self._partition_mark
        bounds, parameters = "", ()  # type: tuple[str, tuple[str, ...]]
        if operation.partition is not None:
            bounds, parameters = f" WHERE {partition} = {partition_mark}", (operation.partition,)
            if operation.after is not None:
                # A comparison of both keys would make SQLite read the partition from its start.
                bounds, parameters = f"{bounds} AND {sort} > {mark}", self.key_values(operation.after)
        elif operation.after is not None:
            bounds, parameters = (
                f" WHERE ({partition}, {sort}) > ({partition_mark}, {mark})",
                self.key_values(operation.after),
            )
        text = f"{self._select}{bounds} ORDER BY {partition}, {sort} LIMIT {mark}"
        return Statement(text, (*parameters, operation.limit + 1))

    def put(self, item: Item) -> Statement:
        """Returns the statement that stores an item, and replaces the one with its key.

        Raises:
            RefusedError: An attribute has no column, or a number does not fit into one.
        """
        return Statement(self._put, self._values(item))

    def put_from(self, item: Item, source: str, condition: str) -> Statement:
        """Returns the statement that stores an item if a query has a row and a condition holds for the replaced row.

        Args:
            item: The item.
            source: The query; it follows FROM.
            condition: A SQL expression on the row ``item``. Its parameters follow those of this statement.

        Raises:
            RefusedError: See ``put``.
        """
        types = {attribute.name: self._dialect.types[attribute.type] for attribute in self.table.attributes}
        values = ", ".join(f"{self._dialect.placeholder}::{types[name]}" for name in self.names)
        text = f"{self._insert} SELECT {values} FROM {source} {self._on_conflict} WHERE {condition}"  # noqa: S608 (names of the schema)
        return Statement(text, self._values(item))

    def delete(self, key: Key) -> Statement:
        """Returns the statement that deletes an item."""
        return Statement(self._delete, self.key_values(key))

    def item(self, row: Row, names: Sequence[str] | None = None) -> Item:
        """Returns the item of a row, with its binary values as ``Secret``.

        Args:
            row: The values.
            names: The attributes that were read; None for all.
        """
        if names is None:
            names = self.names
        if not self._has_binary:
            return {
                name: Secret(value) if type(value) is bytes else value
                for name, value in zip(names, row, strict=True)
                if value is not None
            }
        # No local variable refers to the plain bytes of a secret: a traceback could show them.
        item: dict[str, Any] = {}
        for place, name in enumerate(names):
            if row[place] is not None:
                item[name] = Secret(row[place]) if type(row[place]) is bytes else row[place]
        return item

    def key_of(self, item: Item) -> Key:
        """Returns the primary key of a stored item.

        Raises:
            RefusedError: A key attribute is not text.
        """
        for name in (self.table.partition_key, self.table.sort_key):
            if not isinstance(item.get(name), str):
                raise RefusedError(f"an item of {self.table.name} is damaged: {name} must be text", code="DamagedItem")
        return self.table.key_of(item)

    def key_values(self, key: Key) -> tuple[str, str]:
        """Returns the values of a primary key."""
        return key[self.table.partition_key], key[self.table.sort_key]

    def _refusal(self, item: Item, problem: str) -> RefusedError:
        key = ", ".join(f"{name} {value!r}" for name, value in self.table.key_of(item).items())
        return RefusedError(f"the item of {self.table.name} with {key} {problem}")

    def _names_of(self, operation: Query) -> tuple[str, ...]:
        """Returns the columns that a query reads."""
        attributes = operation.attributes
        return self.names if attributes is None else tuple(name for name in self.names if name in attributes)

    def _render_select(self, names: Sequence[str]) -> str:
        return f"SELECT {', '.join(map(_column, names))} FROM {self.sql_name} AS item"  # noqa: S608 (names of the schema)

    def _values(self, item: Item) -> tuple[Any, ...]:
        if unknown := item.keys() - set(self.names):
            raise self._refusal(item, f"has attributes without a column: {', '.join(map(repr, sorted(unknown)))}")
        for name, value in item.items():
            if isinstance(value, int) and value not in self._dialect.integers:
                raise self._refusal(item, f"has a {name} that does not fit into 64 bits")
        return tuple(map(item.get, self.names))

    def _render_on_conflict(self) -> str:
        # Not INSERT OR REPLACE of SQLite: it deletes other items that a unique index makes a conflict with.
        key = (self.table.partition_key, self.table.sort_key)
        updates = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in self.names if name not in key)
        return f"ON CONFLICT ({self._key_columns}) DO UPDATE SET {updates}"

    def _render_index(self, index: Index) -> str:
        kind = "CREATE UNIQUE INDEX" if index.is_unique else "CREATE INDEX"
        keys = self._index_columns(index.partition_key, index.sort_key)
        return f"{kind} {_quoted(f'{self.table.name}.{index.name}')} ON {self.sql_name} ({keys})"

    def _index_columns(self, partition_key: str, sort_key: str | None) -> str:
        columns = [self._dialect.partition.format(_quoted(partition_key))]
        return ", ".join([*columns, _quoted(sort_key)] if sort_key else columns)


def prefix_end(prefix: str) -> str | None:
    """Returns the first text, by bytes in UTF-8, after all texts with the prefix; None where there is none.

    The order of bytes in UTF-8 is the order of code points, which exclude surrogates.
    """
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def if_not_exists(definition: str) -> str:
    """Returns a definition that has no effect where what it creates exists."""
    if definition.startswith("CREATE OR REPLACE"):
        return definition
    kind = "INDEX" if definition.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX")) else "TABLE"
    return definition.replace(f"{kind} ", f"{kind} IF NOT EXISTS ", 1)


def _column(name: str) -> str:
    return f"item.{_quoted(name)}"


def _quoted(name: str) -> str:
    return f'"{name}"'
