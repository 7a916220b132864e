"""Runs functions in daemon threads, which do not keep a stopping process waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any


class Threads:
    """A limited number of threads, one for each call.

    Args:
        limit: The number of threads; a call whose caller has gone keeps its thread until it ends.
    """

    def __init__(self, limit: int) -> None:
        self._free = asyncio.Semaphore(limit)

    async def run(self, function: Callable[[], Any]) -> Any:
        """Runs a function in a thread, with the context of the caller, and returns its result or raises its error."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def finish(value: Any, error: BaseException | None) -> None:
            self._free.release()
            if not ended.done():
                # Not set_exception, which refuses StopIteration.
                ended.set_result((value, error))

        def work() -> None:
            value, error = None, None
            try:
                value = function()
            except BaseException as raised:  # noqa: BLE001 (also SystemExit belongs to the caller)
                error = raised
            with suppress(RuntimeError):  # The loop has ended.
                loop.call_soon_threadsafe(finish, value, error)

        threading.Thread(target=copy_context().run, args=[work], name="package-database call", daemon=True).start()
        value, error = await ended
        if error is not None:
            raise error
        return value
