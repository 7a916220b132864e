"""The threads that run the operations of blocking engines for asyncio: shared by all engines of a process.

A process may have thousands of engines, so the number of threads is bounded for the process. It is bounded for each
engine too, so that the engine of a locked file does not take the threads of the others.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

from . import fork

THREADS: Final = 128
"""The most threads of a process."""
THREADS_OF_ENGINE: Final = 16
"""The most threads that run operations of one engine: as many connections as a file's pool keeps idle."""
_TURN: Final = 16
"""How many functions of one engine a thread runs before those of other engines."""

Result = TypeVar("Result")


class _Executor:
    """The executor of the process.

    Args:
        threads: The most threads.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.after_fork_in_child()
        fork.register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare: threads may run during a fork."""

    def after_fork_in_child(self) -> None:
        """Replaces the executor, whose threads a child does not have."""
        self._executor = ThreadPoolExecutor(self._threads, "package-database")

    def submit(self, function: Callable[[], object]) -> None:
        """Runs a function in a thread; raises ``RuntimeError`` when the interpreter shuts down."""
        self._executor.submit(function)


_executor: Final = _Executor(THREADS)


class EngineThreads:
    """Runs functions in shared threads, in the order of their submission, some at once.

    Create another one in the child of a fork.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running = 0

    def submit(self, function: Callable[[], Result]) -> Future[Result]:
        """Returns the future of a function; raises ``RuntimeError`` when the interpreter shuts down."""
        future: Future[Result] = Future()
        with self._lock:
            if self._running < THREADS_OF_ENGINE:
                _executor.submit(self._run)
                self._running += 1
            self._waiting.append((future, function))
        return future

    def _run(self) -> None:
        """Runs some functions, and then has a thread run the next ones, after those of other engines."""
        for count in itertools.count(1):
            first = self._take()
            if first is None:
                return
            _call(*first)
            if count % _TURN == 0:
                # When the interpreter shuts down, this thread runs the others.
                with suppress(RuntimeError):
                    _executor.submit(self._run)
                    return

    def _take(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            return None


def _call(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 (the caller's)
        future.set_exception(error)
        # The traceback refers to this frame.
        del future
    else:
        future.set_result(result)
