"""Engines that count their operations."""

from __future__ import annotations

from typing import Any

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine, open_memory
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine


class CountingMemory(MemoryEngine):
    """The in-memory model; ``operations`` are those that it executed."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[StoreOperation] = []

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self.operations.append(operation)
        return super().execute(operation, deadline)


class CountingAsyncMemory(AsyncMemoryEngine):
    """The same for the async API."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[StoreOperation] = []

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self.operations.append(operation)
        return await super().execute(operation, deadline)


def open_sqlite() -> SQLiteEngine:
    """Returns an empty SQLite database in memory."""
    return open_memory(SQLiteConfig(), TABLES)
