"""A unique index over all shards, as a table of entries in each: the SQL of one shard's part. No I/O.

The entry of a key is in the shard of the key's hash; the item is in the shard of its partition key. An entry is written
before its item and deleted after it, so it may be stale and is never missing; see ``sharded_execution``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...core.operations import Attribute, Index, Item, Key, Table
from ..sql.execution import StatementSteps
from ..sql.statements import Row, Statement
from .dialect import CATALOG, POSTGRESQL

ENTRY: Final = Attribute("entry", "S", "the token of the index entry of the item", is_optional=True)
"""The column that a table with a global index has in addition to its attributes."""

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the index.

    Attributes:
        table: The name of the table.
        value: The indexed key.
        holder: The primary key of the item that has it.
        token: The token of the transaction that wrote the entry.
    """

    table: str
    value: str
    holder: tuple[str, str]
    token: str


class GlobalIndex:
    """The entries of one index in one shard, and the items of its table there.

    Args:
        table: The table.
        index: Its global index.
        schema: The schema of the shard.
    """

    def __init__(self, table: Table, index: Index, schema: str) -> None:
        self.table = table
        self.key = index.partition_key
        self.name = f"{self.key}s"
        """The name of the table of entries."""
        self._partition_key, self._sort_key = table.partition_key, table.sort_key
        self._entries = f'{schema}."{self.name}"'
        self._items = f'{schema}."{table.name.rpartition(".")[2]}"'
        self._is_item = f'{CATALOG}.digest("{self._partition_key}") = {CATALOG}.digest(%s) AND "{self._sort_key}" = %s'

    def definitions(self) -> Mapping[str, str]:
        """Returns the statements that create the table of entries, by its name."""
        text = POSTGRESQL.types["S"]
        columns = (f'"{self._partition_key}"', f'"{self._sort_key}"', "token")
        required = ", ".join(f"{column} {text} NOT NULL" for column in columns)
        return {self.name: f'CREATE TABLE {self._entries} ("{self.key}" {text} PRIMARY KEY, {required})'}

    def drop(self) -> str:
        """Returns the statement that drops the table of entries."""
        return f"DROP TABLE IF EXISTS {self._entries}"

    def clear(self) -> str:
        """Returns the statement that deletes all entries."""
        return f"DELETE FROM {self._entries}"  # noqa: S608 (names of the schema)

    def look_up(self, value: str) -> StatementSteps[list[Item]]:
        """Reads the keys of the item that an entry names, which may not have the indexed key any more."""
        found = yield from self.read(value)
        if found is None:
            return []
        partition, sort = found.holder
        return [{self._partition_key: partition, self._sort_key: sort, self.key: value}]

    def read(self, value: str) -> StatementSteps[Entry | None]:
        """Reads an entry."""
        text = f'SELECT "{self._partition_key}", "{self._sort_key}", token FROM {self._entries} WHERE "{self.key}" = %s'  # noqa: S608 (names of the schema)
        rows = yield Statement(text, (value,))
        return Entry(self.table.name, value, (rows[0][0], rows[0][1]), rows[0][2]) if rows else None

    def page(self, after: str) -> StatementSteps[list[Entry]]:
        """Reads a page of the entries, in the order of their keys."""
        rows = yield Statement(
            f'SELECT "{self.key}", "{self._partition_key}", "{self._sort_key}", token FROM {self._entries} '  # noqa: S608 (names of the schema)
            f'WHERE "{self.key}" > %s ORDER BY 1 LIMIT {_PAGE}',
            (after,),
        )
        return [Entry(self.table.name, row[0], (row[1], row[2]), row[3]) for row in rows]

    def without_item(self, entries: Sequence[Entry]) -> StatementSteps[list[Entry]]:
        """Returns the entries whose items, in this shard, do not have their key."""
        keys = f'"{self._partition_key}", "{self._sort_key}", "{self.key}"'
        rows = yield Statement(
            f"SELECT place FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS entry ({keys}, place) "  # noqa: S608 (names of the schema)
            f"WHERE NOT EXISTS (SELECT FROM {self._items} AS item "
            f'WHERE {CATALOG}.digest(item."{self._partition_key}") = {CATALOG}.digest(entry."{self._partition_key}") '
            f'AND item."{self._sort_key}" = entry."{self._sort_key}" '
            f'AND item."{self.key}" = entry."{self.key}")',
            (
                [entry.holder[0] for entry in entries],
                [entry.holder[1] for entry in entries],
                [entry.value for entry in entries],
            ),
        )
        return [entries[place - 1] for (place,) in rows]

    def claim(self, entry: Entry, stale: Entry | None) -> StatementSteps[Entry | None]:
        """Writes an entry, unless another item has one.

        Args:
            entry: The entry.
            stale: An entry of another item that may be replaced; None if there is none.

        Returns:
            The entry of another item, or None if the entry was written.
        """
        keys = f'"{self._partition_key}"', f'"{self._sort_key}"'
        assignments = ", ".join(f"{column} = excluded.{column}" for column in (*keys, "token"))
        is_same_item = " AND ".join(f"entry.{column} = excluded.{column}" for column in keys)
        rows = yield Statement(
            f'INSERT INTO {self._entries} AS entry ("{self.key}", {", ".join(keys)}, token) VALUES (%s, %s, %s, %s) '  # noqa: S608 (names of the schema)
            f'ON CONFLICT ("{self.key}") DO UPDATE SET {assignments} '
            f"WHERE {is_same_item} OR entry.token = %s RETURNING 1",
            (entry.value, *entry.holder, entry.token, None if stale is None else stale.token),
        )
        return None if rows else (yield from self.read(entry.value))

    def delete(self, entry: Entry) -> StatementSteps[None]:
        """Deletes an entry, unless it was written again."""
        text = f'DELETE FROM {self._entries} WHERE "{self.key}" = %s AND token = %s'  # noqa: S608 (names of the schema)
        yield Statement(text, (entry.value, entry.token))

    def read_entry(self, key: Key) -> Statement:
        """Returns the statement that reads the indexed key of an item and the token of its entry."""
        text = f'SELECT "{self.key}", "{ENTRY.name}" FROM {self._items} WHERE {self._is_item}'  # noqa: S608 (names of the schema)
        return Statement(text, (key[self._partition_key], key[self._sort_key]))

    def entry_of(self, key: Key, rows: Sequence[Row]) -> Entry | None:
        """Returns the entry that an item names, from the rows of ``read_entry``; None if it names none."""
        if not rows or rows[0][0] is None:
            return None
        value, token = rows[0]
        return Entry(self.table.name, value, (key[self._partition_key], key[self._sort_key]), token or "")

    def set_entry(self, key: Key, token: str) -> Statement:
        """Returns the statement that notes in an item the token of its entry."""
        return Statement(
            f'UPDATE {self._items} SET "{ENTRY.name}" = %s WHERE {self._is_item}',  # noqa: S608 (names of the schema)
            (token, key[self._partition_key], key[self._sort_key]),
        )
