"""Engines for asyncio that are closed when nothing refers to them any more, by each event loop that used them.

When an event loop shuts down, its engines close their connections themselves.
"""

from __future__ import annotations

import asyncio
import weakref
from asyncio import AbstractEventLoop, Task
from collections.abc import AsyncGenerator, Coroutine
from functools import partial
from typing import Any, Final

from ..engines import fork
from ..engines.port import AsyncEngine
from ..engines.wrapper import AsyncEngineWrapper
from .closer import closer, log_failure


class SelfClosingAsyncEngine(AsyncEngineWrapper):
    """An engine for asyncio. Each event loop that used it closes its own connections.

    Args:
        engine: The engine that it closes.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
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

    def prepare(self) -> Coroutine[Any, Any, None]:
        """Prepares the engine in the running event loop."""
        return self._engine.prepare() if asyncio.get_running_loop() in self._loops else self._prepare_first()

    async def aclose(self) -> None:
        """Closes the engine now, also for calls in progress."""
        self._finalizer.detach()
        await self._engine.aclose()

    async def _prepare_first(self) -> None:
        for loop in tuple(self._loops):
            if loop.is_closed():
                self._loops.pop(loop, None)
        closer_of_loop = await closer_of_running_loop()
        self._loops[closer_of_loop.loop] = closer_of_loop
        await self._engine.prepare()


class LoopCloser:
    """Closes engines in one event loop.

    Args:
        loop: The event loop, which is running.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self._tasks: set[Task[None]] = set()
        self._is_shut_down = False
        self._lifetime = self._live()

    async def start(self) -> None:
        """Has the loop wait for engines that are being closed when it shuts down.

        ``asyncio.run`` closes the asynchronous generators that have started in its loop (PEP 525).
        """
        await anext(self._lifetime)

    def close(self, engine: AsyncEngine) -> None:
        """Closes an engine in the loop; may be called by another thread."""
        try:
            self.loop.call_soon_threadsafe(self._close, engine)
        except RuntimeError:
            return  # The loop is closed, and so are its connections.

    def _close(self, engine: AsyncEngine) -> None:
        # A task that starts after the shutdown would never end.
        if not self._is_shut_down:
            task = self.loop.create_task(self._aclose(engine))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _aclose(self, engine: AsyncEngine) -> None:
        try:
            await engine.aclose()
        except Exception as error:  # noqa: BLE001 (the engine is not used again)
            # In a shutdown, the engine closes its connections at the same time.
            if not self._is_shut_down:
                log_failure(error)

    async def _live(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._is_shut_down = True
            if self._tasks:
                await asyncio.wait(self._tasks)


_closers: Final[dict[AbstractEventLoop, LoopCloser]] = {}


async def closer_of_running_loop() -> LoopCloser:
    """Returns what closes engines in the running event loop."""
    loop = asyncio.get_running_loop()
    found = _closers.get(loop)
    if found is None:
        for other in tuple(_closers):
            if other.is_closed():
                _closers.pop(other, None)
        found = _closers[loop] = LoopCloser(loop)
        await found.start()
    return found


def _close_in(loops: dict[AbstractEventLoop, LoopCloser], engine: AsyncEngine) -> None:
    for loop in tuple(loops.values()):
        loop.close(engine)
