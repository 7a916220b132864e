"""The engine for threads with a cache: the client runs in the background loop, and cached results need none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.deadline import Deadline
from ...core.operations import Operation, StoreOperation
from ..port import NOT_CACHED
from .loop_engine import LoopEngine

if TYPE_CHECKING:
    from .read_cache import ReadCache


class CachingEngine(LoopEngine):
    """An engine for any number of threads, which share a cache."""

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
