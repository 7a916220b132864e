"""Blocking functions for event loops, in threads of the package instead of the loop's default executor.

The default executor belongs to the application, which may keep all of its threads busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from ...core.deadline import Deadline

Result = TypeVar("Result")

IO_THREADS: Final = 4
"""Threads for functions that wait for the network."""


class BlockingCalls:
    """Runs blocking functions for any event loop.

    Args:
        threads: How many may run at the same time. One for functions that compute: the event loop waits for the
            interpreter lock once for each of them.
    """

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="package-database")

    async def run(self, deadline: Deadline, function: Callable[..., Result], *arguments: Any) -> Result:
        """Returns the function's result; a function that was not started by the deadline is not run.

        Raises:
            TimeoutError: The deadline is over.
        """
        running = self._executor.submit(function, *arguments)
        try:
            return await wait_in_loop(running, deadline.attempt_seconds())
        finally:
            running.cancel()

    def shared(self, function: Callable[[], Result]) -> SharedCall[Result]:
        """Returns a function whose concurrent callers wait for the same run."""
        return SharedCall(self._executor, function)

    def close(self) -> None:
        """Ends the threads that do nothing."""
        self._executor.shutdown(wait=False)


class SharedCall(Generic[Result]):
    """A blocking function; concurrent callers, of any event loop, wait for the same run.

    Args:
        executor: Runs it.
        function: The function.
    """

    def __init__(self, executor: ThreadPoolExecutor, function: Callable[[], Result]) -> None:
        self._executor = executor
        self._function = function
        self._running: Future[Result] | None = None

    async def result(self, seconds: float) -> Result:
        """Returns the result of the current run, or of a new one.

        Raises:
            TimeoutError: The run did not end within so many seconds. It goes on for the next caller.
        """
        running = self._running
        if running is None or running.done():
            running = self._running = self._executor.submit(self._function)
        return await wait_in_loop(running, seconds)


async def wait_in_loop(running: Future[Result], seconds: float) -> Result:
    """Returns the result of a function that runs in a thread; raises ``TimeoutError`` if it takes longer."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def notify(_: object) -> None:
        # The loop may be closed when the function ends.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(finish)

    running.add_done_callback(notify)
    async with asyncio.timeout(seconds):
        await done
    return running.result()
