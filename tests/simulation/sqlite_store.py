"""SQLite in the place of the model, behind the same scheduler."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Item, Put, Scan, StoreOperation, Transact
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import MemoryStore, Place


class SQLiteStore(MemoryStore):
    """A SQLite database in memory: an operation is one step, for a read is of one moment and a write a transaction.

    Args:
        items: What is in it at the start.
    """

    def __init__(self, items: dict[Place, Item]) -> None:
        self._engine = open_memory(SQLiteConfig(), TABLES)
        self.results = {}
        self.writes = 0
        tables = {table.name: table for table in TABLES}
        for place, item in items.items():
            self._execute(Transact((Put(tables[place[0]], item),)))

    @property
    def items(self) -> dict[Place, Item]:  # type: ignore[override]
        """What is in it."""
        return {
            (table.name, item[table.partition_key].encode(), item[table.sort_key].encode()): item
            for table in TABLES
            for item in self._execute(Scan(table, limit=1_000, after=None)).items
        }

    def copy(self) -> SQLiteStore:
        """Returns a store with the same items."""
        twin = SQLiteStore({})
        self._engine.run(
            lambda source: twin._engine.run(source.backup, "copying", Deadline(60)), "copying", Deadline(60)
        )
        return twin

    def steps(self, operation: StoreOperation) -> Generator[object, None, Any]:
        """Carries an operation out at once."""
        yield from ()
        return self._execute(operation)

    def _execute(self, operation: StoreOperation) -> Any:
        return self._engine.execute(operation, Deadline(60))
