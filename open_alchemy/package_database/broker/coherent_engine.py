"""An engine whose writes wait until no client uses an older cached answer. All writes of a broker use it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

from ..coherence.tags import tags_of_write
from ..core.deadline import Deadline
from ..core.operations import Get, Page, Scan, StoreOperation, Table, Transact
from ..engines.broker.operations import Schema
from ..engines.port import Administration, AsyncEngine, Config, Engine, immediate_read
from ..exceptions import UnavailableError
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

    def read_now(self, operation: Get) -> Any:
        """Reads an item, where the engine can do that without waiting; see ``ImmediateReads``."""
        read_now = immediate_read(self._engine)
        if read_now is None:
            raise UnavailableError("the engine cannot read without waiting")
        return read_now(operation)

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


class CoherentBlockingEngine:
    """An engine for threads, but not for that of the event loop; see ``CoherentEngine``."""

    def __init__(self, engine: Engine, caching: Caching) -> None:
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

    def prepare(self) -> None:
        """Prepares the engine."""
        self._engine.prepare()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation; a transaction as ``Caching.write`` does."""
        if not isinstance(operation, Transact):
            return self._engine.execute(operation, deadline)
        execute = partial(asyncio.to_thread, self._engine.execute, operation, deadline)
        write = self._caching.write(tags_of_write(operation), execute, deadline)
        return self._caching.run_from_thread(write)

    def administration(self) -> Administration:
        """Returns the administration of the engine's tables."""
        return self._engine.administration()

    def close(self) -> None:
        """Closes the engine."""
        self._engine.close()


def coherent(
    engine: AsyncEngine, blocking: Engine, tables: Sequence[Table]
) -> tuple[Caching, CoherentEngine, CoherentBlockingEngine]:
    """Returns engines of a store whose clients may cache what they read."""
    caching = Caching(lambda: engine, Schema(tables))
    return caching, CoherentEngine(engine, caching), CoherentBlockingEngine(blocking, caching)
