"""Closes engines in the event loops that used them, until a loop shuts down: then the engines close by themselves."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Task
from collections.abc import AsyncGenerator
from typing import Final

from ..engines.port import AsyncEngine
from .closer import log_failure


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
