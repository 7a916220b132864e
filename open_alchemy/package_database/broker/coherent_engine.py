"""An engine whose writes wait until no client uses an older cached answer. All writes of a broker use it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..coherence.tags import tags_of_write
from ..core.deadline import Deadline
from ..core.operations import Page, Scan, StoreOperation, Table, Transact
from ..engines.broker.operation_messages import Schema
from ..engines.port import AsyncEngine, Engine
from ..engines.wrapper import AsyncEngineWrapper, EngineWrapper
from ..model.broker_registry import is_registry
from .coherence_driver import Caching


class CoherentEngine(AsyncEngineWrapper):
    """An engine for asyncio.

    Args:
        engine: Executes the operations.
        caching: The caches of the clients of the store.
    """

    def __init__(self, engine: AsyncEngine, caching: Caching) -> None:
        super().__init__(engine)
        self._caching = caching

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation; a transaction as ``Caching.write`` does. The registry is on no page of a table."""
        if isinstance(operation, Scan):
            page: Page = await self._engine.execute(operation, deadline)
            return page._replace(items=tuple(each for each in page.items if not is_registry(operation.table, each)))
        if not isinstance(operation, Transact):
            return await self._engine.execute(operation, deadline)
        tags = tags_of_write(operation)
        return await self._caching.write(tags, lambda: self._engine.execute(operation, deadline), deadline)


class CoherentBlockingEngine(EngineWrapper):
    """An engine for threads, but not for that of the event loop; see ``CoherentEngine``."""

    def __init__(self, engine: Engine, caching: Caching) -> None:
        super().__init__(engine)
        self._caching = caching

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation; a transaction as ``Caching.write`` does."""
        if not isinstance(operation, Transact):
            return self._engine.execute(operation, deadline)
        execute = partial(asyncio.to_thread, self._engine.execute, operation, deadline)
        write = self._caching.write(tags_of_write(operation), execute, deadline)
        return self._caching.run_from_thread(write)


def coherent(
    engine: AsyncEngine, blocking: Engine, tables: Sequence[Table]
) -> tuple[Caching, CoherentEngine, CoherentBlockingEngine]:
    """Returns engines of a store whose clients may cache what they read."""
    caching = Caching(lambda: engine, Schema(tables))
    return caching, CoherentEngine(engine, caching), CoherentBlockingEngine(blocking, caching)
