"""Creates, describes, empties and deletes tables: for tests, development and operators."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ...core.deadline import Deadline
from ...core.operations import Table
from ..port import KeyInfo, TableInfo
from .connection_pool import Result, Work
from .engine import SQLiteEngine
from .schema import create_tables, differences, transaction


class SQLiteAdministration:
    """The tables of one SQLite database. Its methods raise what the engine raises."""

    def __init__(self, engine: SQLiteEngine) -> None:
        self._engine = engine

    def create(self, table: Table) -> None:
        """Creates a table and its indexes where they are missing; in a new file, all tables."""

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                create_tables(connection, [table])

        self._run(work, f"creating {table.name}")

    def delete(self, table: Table) -> bool:
        """Drops a table with its items, and returns whether it existed."""
        if self.describe(table) is None:
            return False
        self._run(lambda connection: connection.execute(self._engine.sql.of(table).drop()), f"deleting {table.name}")
        return True

    def describe(self, table: Table) -> TableInfo | None:
        """Returns a table as it exists, or None if it does not exist; does not create a missing file."""
        path = self._engine.config.path
        if path is not None and _is_missing(path):
            return None
        found = self._run(lambda connection: self._measure(connection, table), f"describing {table.name}")
        if found is None:
            return None
        items, size = found
        return TableInfo(
            keys=KeyInfo(table.name, table.partition_key, table.sort_key),
            status="ACTIVE",
            indexes=tuple(KeyInfo(index.name, index.partition_key, index.sort_key) for index in table.indexes),
            items=items,
            size=size,
        )

    def differences(self, table: Table) -> list[str]:
        """Returns how a table and its indexes differ from the schema, in sentences; empty if they do not."""
        path = self._engine.config.path
        if path is not None and _is_missing(path):
            return ["the table is missing"]
        return self._run(lambda connection: differences(connection, table), f"describing {table.name}")

    def clear(self, table: Table) -> None:
        """Deletes every item of a table."""
        self._run(lambda connection: connection.execute(self._engine.sql.of(table).clear()), f"emptying {table.name}")

    def _measure(self, connection: sqlite3.Connection, table: Table) -> tuple[int, int] | None:
        """Returns the number of items of a table and the size of the file in bytes, or None where there is no table."""
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table.name,)).fetchone() is None:
            return None
        (items,) = connection.execute(self._engine.sql.of(table).count()).fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        return items, pages * size

    def _run(self, work: Work[Result], what: str) -> Result:
        self._engine.prepare()
        return self._engine.run(work, what, Deadline(self._engine.config.deadline))


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass  # SQLite's error for it is the better one.
    return False
