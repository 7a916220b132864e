"""Engines for threads whose client exists for asyncio only, and runs in the background loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.deadline import Deadline
from ...core.operations import Operation, StoreOperation
from ..port import NOT_CACHED
from ..sync_adapter import BlockingEngine
from .administration import BrokerAdministration
from .async_engine import AsyncBrokerEngine
from .config import BrokerConfig

if TYPE_CHECKING:
    from .read_cache import ReadCache


class LoopEngine(BlockingEngine):
    """A database behind brokers. Nothing is opened before it is used."""

    def __init__(self, config: BrokerConfig) -> None:
        self._client = AsyncBrokerEngine(config)
        super().__init__(self._client, lambda: BrokerAdministration(self.ask))

    def ask(self, body: Any, what: str, **options: bool) -> Any:
        """Sends a request that is not an operation; see ``BrokerEngine.ask``."""
        return self.run(self._client.ask(body, what, **options))


class CachingEngine(LoopEngine):
    """An engine for any number of threads, which share a cache. Cached results need no client."""

    @property
    def cache(self) -> ReadCache | None:
        """The cache; None before the first call."""
        return self._client.cache

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result; see ``BrokerEngine.execute``."""
        result = self.find(operation)
        return self.run(self._client.request(operation, deadline)) if result is NOT_CACHED else result

    def find(self, operation: Operation) -> Any:
        """Returns the result of an operation, if it is in memory; see ``CachedReads``."""
        cache = self._client.cache
        return NOT_CACHED if cache is None else cache.find(operation)
