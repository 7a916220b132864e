"""Creating, describing, emptying and deleting tables: for tests, development and operators."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from ...core.deadline import Deadline
from ...core.operations import Table
from ..port import KeyInfo, TableInfo
from ..sql.statements import clear_table, create_table, definitions, drop_table
from .database_file import transaction
from .engine import SQLiteEngine


class SQLiteAdministration:
    """The tables of one SQLite database. Its methods raise what the engine raises."""

    def __init__(self, engine: SQLiteEngine) -> None:
        self._engine = engine

    def create(self, table: Table) -> None:
        """Creates a table, and with the first one of a new file the others too; nothing happens where it is there."""

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                for statement in create_table(table):
                    connection.execute(statement)

        self._run(work, f"creating {table.name}")

    def delete(self, table: Table) -> bool:
        """Drops a table with all that is in it, and returns whether it was there."""
        if self.describe(table) is None:
            return False
        self._run(lambda connection: connection.execute(drop_table(table)), f"deleting {table.name}")
        return True

    def describe(self, table: Table) -> TableInfo | None:
        """Returns a table as it exists, or None if it does not exist; does not create a missing file."""
        path = self._engine.config.path
        if path is not None and _is_missing(path):
            return None
        found: tuple[int, int] | None = self._run(
            lambda connection: _measure(connection, table), f"describing {table.name}"
        )
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
        if self.describe(table) is None:
            return ["the table is missing"]
        found = self._run(lambda connection: _definitions(connection, table), f"describing {table.name}")
        differences: list[str] = []
        for name, text in definitions(table).items():
            what = "the table" if name == table.name else f"the index {name.removeprefix(f'{table.name}.')}"
            if name not in found:
                differences.append(f"{what} is missing")
            elif found[name] != text:
                differences.append(f"{what} was created by another statement: {found[name]}")
        return differences

    def clear(self, table: Table) -> None:
        """Deletes every item of a table."""
        self._run(lambda connection: connection.execute(clear_table(table)), f"emptying {table.name}")

    def _run(self, work: Any, what: str) -> Any:
        self._engine.prepare()
        return self._engine.run(work, what, Deadline(self._engine.config.deadline))


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass  # Opening it tells why, in SQLite's words.
    return False


def _measure(connection: sqlite3.Connection, table: Table) -> tuple[int, int] | None:
    """Returns how many items a table has, and how many bytes the whole file takes, or None where it is not there."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table.name,)).fetchone() is None:
        return None
    (items,) = connection.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()  # noqa: S608 (of the schema)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return items, pages * size


def _definitions(connection: sqlite3.Connection, table: Table) -> dict[str, str]:
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = ?", (table.name,)))
