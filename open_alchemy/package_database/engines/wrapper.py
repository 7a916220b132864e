"""Engines that pass everything on to another engine, for engines that change a part of that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ..core.deadline import Deadline
from ..core.operations import Operation, StoreOperation
from .port import Administration, AsyncEngine, Config, Engine, cached_reads


class EngineWrapper:
    """An engine for threads.

    Args:
        engine: The other engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def config(self) -> Config:
        """The other engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The other engine's."""
        return self._engine.attempt_seconds

    @property
    def find(self) -> Callable[[Operation], Any] | None:
        """The other engine's ``CachedReads``, if it has them."""
        return cached_reads(self._engine)

    def prepare(self) -> None:
        """Prepares the other engine."""
        self._engine.prepare()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation."""
        return self._engine.execute(operation, deadline)

    def administration(self) -> Administration:
        """Returns the administration of the other engine's tables."""
        return self._engine.administration()

    def close(self) -> None:
        """Closes the other engine."""
        self._engine.close()


class AsyncEngineWrapper:
    """An engine for asyncio. Its coroutines are those of the other engine.

    Args:
        engine: The other engine.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @property
    def config(self) -> Config:
        """The other engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The other engine's."""
        return self._engine.attempt_seconds

    @property
    def find(self) -> Callable[[Operation], Any] | None:
        """The other engine's ``CachedReads``, if it has them."""
        return cached_reads(self._engine)

    def prepare(self) -> Coroutine[Any, Any, None]:
        """Prepares the other engine."""
        return self._engine.prepare()

    def queue(self) -> Awaitable[None] | None:
        """Returns what a call must await before it starts."""
        return self._engine.queue()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Coroutine[Any, Any, Any]:
        """Executes an operation."""
        return self._engine.execute(operation, deadline)

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Closes the other engine."""
        return self._engine.aclose()
