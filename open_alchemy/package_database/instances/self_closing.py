"""Engines that are closed when nothing refers to them any more.

A call refers to its engine until it ends, however it ends, so that an engine in use is never closed.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from ..core.deadline import Deadline
from ..core.operations import StoreOperation
from ..engines import fork
from ..engines.port import Administration, AsyncEngine, Config, Engine
from .closer import closer

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from .loop_closer import LoopCloser


class SelfClosingEngine:
    """An engine for threads.

    Args:
        engine: The engine that it closes.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._finalizer = weakref.finalize(self, closer.add, engine.close)
        self._finalizer.atexit = False

    @property
    def inner(self) -> Engine:
        """The engine."""
        return self._engine

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
        """Executes an operation."""
        return self._engine.execute(operation, deadline)

    def administration(self) -> Administration:
        """Returns the administration of the engine's tables."""
        return self._engine.administration()

    def close(self) -> None:
        """Closes the engine now, also for calls in progress."""
        self._finalizer.detach()
        self._engine.close()


class SelfClosingAsyncEngine:
    """An engine for asyncio. Each event loop that used it closes its own connections.

    Args:
        engine: The engine that it closes.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._loops: dict[AbstractEventLoop, LoopCloser] = {}
        self._finalizer = weakref.finalize(self, closer.add, partial(_close_in, self._loops, engine))
        self._finalizer.atexit = False
        fork.register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Drops the event loops of the parent."""
        self._loops.clear()

    @property
    def inner(self) -> AsyncEngine:
        """The engine."""
        return self._engine

    @property
    def config(self) -> Config:
        """The engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    def prepare(self) -> Coroutine[Any, Any, None]:
        """Prepares the engine in the running event loop."""
        from asyncio import get_running_loop

        return self._engine.prepare() if get_running_loop() in self._loops else self._prepare_first()

    def queue(self) -> Awaitable[None] | None:
        """Returns what a call must await before it starts."""
        return self._engine.queue()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Coroutine[Any, Any, Any]:
        """Executes an operation."""
        return self._engine.execute(operation, deadline)

    async def aclose(self) -> None:
        """Closes the engine now, also for calls in progress."""
        self._finalizer.detach()
        await self._engine.aclose()

    async def _prepare_first(self) -> None:
        from .loop_closer import closer_of_running_loop

        for loop in tuple(self._loops):
            if loop.is_closed():
                self._loops.pop(loop, None)
        closer_of_loop = await closer_of_running_loop()
        self._loops[closer_of_loop.loop] = closer_of_loop
        await self._engine.prepare()


def _close_in(loops: dict[AbstractEventLoop, LoopCloser], engine: AsyncEngine) -> None:
    for loop in tuple(loops.values()):
        loop.close(engine)
