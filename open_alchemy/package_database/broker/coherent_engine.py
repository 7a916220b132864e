"""An engine whose writes wait until no client uses an older cached answer. All writes of a broker use it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ..coherence.tags import tags_of_write
from ..core.deadline import Deadline
from ..core.operations import Page, Scan, StoreOperation, Transact
from ..engines.port import AsyncEngine, Config
from ..model.broker_registry import is_registry
from .caching import Caching


class CoherentEngine:
    """An engine for asyncio.

    Args:
        engine: Executes the operations.
        caching: The caches of the clients of the store.
    """

    def __init__(self, engine: AsyncEngine, caching: Caching) -> None:
        self._engine = engine
        self._caching = caching

    @property
    def config(self) -> Config:
        """The engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    async def prepare(self) -> None:
        """Prepares the engine."""
        await self._engine.prepare()

    def queue(self) -> Awaitable[None] | None:
        """Waits as the engine does."""
        return self._engine.queue()

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation; a transaction as ``Caching.write`` does. The registry is on no page of a table."""
        if isinstance(operation, Scan):
            page: Page = await self._engine.execute(operation, deadline)
            return page._replace(items=tuple(each for each in page.items if not is_registry(operation.table, each)))
        if not isinstance(operation, Transact):
            return await self._engine.execute(operation, deadline)
        tags = tags_of_write(operation)
        return await self._caching.write(tags, lambda: self._engine.execute(operation, deadline), deadline)

    async def aclose(self) -> None:
        """Closes the engine."""
        await self._engine.aclose()
