"""The thread that closes engines which nothing uses any more.

That nothing uses an engine may be found at any bytecode of any thread, where taking a lock may deadlock, and in an
event loop, which closing a file would stall. So it is only added to a queue, whose ``put`` is reentrant.

https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from ..engines import fork, telemetry

_MAX_WAITING: Final = 16
"""If more engines wait, a call that opens another closes one first, which limits the number of open files."""

Close: TypeAlias = Callable[[], object]


class Closer:
    """Calls functions that close something, in one thread."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        fork.register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Drops the thread, and the queue whose lock it held. Engines drop their connections themselves."""
        self._queue: SimpleQueue[Close] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, close: Close) -> None:
        """Adds a function; may be called anywhere, also by a finalizer."""
        self._queue.put(close)

    def start(self) -> None:
        """Starts the thread, unless it runs."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=_work, args=(self._queue,), name="package-database-closer", daemon=True
            )
            self._thread.start()

    def close_if_many_wait(self) -> None:
        """Calls one function in this thread if too many wait."""
        if self._queue.qsize() > _MAX_WAITING:
            with suppress(Empty):  # The thread took the last one.
                _call(self._queue.get_nowait())


def _work(queue: SimpleQueue[Close]) -> None:
    while True:
        _call(queue.get())


def _call(close: Close) -> None:
    try:
        close()
    except Exception as error:  # noqa: BLE001 (the engine is not used again, and the others are still to be closed)
        log_failure(error)


def log_failure(error: Exception) -> None:
    """Logs that an engine could not be closed. The message of the error may contain a URL."""
    telemetry.logger().warning("the engine of an instance was not closed: %s", type(error).__name__)


closer: Final = Closer()
