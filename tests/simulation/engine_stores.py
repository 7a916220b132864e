"""Engines in place of the model, with the same scheduler."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any
from uuid import uuid4

from open_alchemy.package_database import ConflictError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Item, Put, Scan, StoreOperation, Transact
from open_alchemy.package_database.engines.port import Engine
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import MemoryStore, Place


class EngineStore(MemoryStore):
    """The empty store of an engine: an operation is one step, for a read is of one moment and a write a transaction.

    Args:
        engine: The engine.
        items: What is stored at the start.
    """

    def __init__(self, engine: Engine, items: Mapping[Place, Item]) -> None:
        self._engine = engine
        self._run = uuid4().hex
        self.results = {}
        self.writes = 0
        tables = {table.name: table for table in TABLES}
        for place, item in items.items():
            self._execute(Transact((Put(tables[place[0]], item),)))

    @property
    def items(self) -> dict[Place, Item]:  # type: ignore[override]
        """The stored items."""
        return {
            (table.name, item[table.partition_key].encode(), item[table.sort_key].encode()): item
            for table in TABLES
            for item in self._execute(Scan(table, limit=1_000, after=None)).items
        }

    def steps(self, operation: StoreOperation) -> Generator[object, None, Any]:
        """Executes an operation at once."""
        yield from ()
        if isinstance(operation, Transact):
            # The store may contain the tokens of other runs.
            operation = operation._replace(token=f"{self._run} {operation.token}")
        try:
            return self._execute(operation)
        except ConflictError as error:
            # A request that was delivered again. The model returns the first result, which nothing receives.
            assert error.code == "TokenUsed"  # noqa: PT017 (other errors fail the test)

    def _execute(self, operation: StoreOperation) -> Any:
        return self._engine.execute(operation, Deadline(60))


class SQLiteStore(EngineStore):
    """A SQLite database in memory, which can be copied.

    Args:
        items: What is stored at the start.
    """

    def __init__(self, items: Mapping[Place, Item]) -> None:
        self._sqlite = open_memory(SQLiteConfig(), TABLES)
        super().__init__(self._sqlite, items)

    def copy(self) -> SQLiteStore:
        """Returns a store with the same items."""
        twin = SQLiteStore({})
        self._sqlite.run(
            lambda source: twin._sqlite.run(source.backup, "copying", Deadline(60)), "copying", Deadline(60)
        )
        return twin
