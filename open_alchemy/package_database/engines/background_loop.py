"""The background loop: one event loop in a daemon thread, for blocking calls of what exists for asyncio only.

*Lifetime.* All runners of the process share one loop. It starts with the first call, and ends when the last runner was
closed or collected: its tasks are cancelled, its asynchronous generators closed, and its thread ends.

*Fork.* A child has no thread of its parent. Its runners use a loop of its own from the next call.

*Interruption.* A signal handler may raise at any bytecode of a call: the call is cancelled in the loop, and the next
call starts the thread if the interrupted one has not.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any, Final, TypeVar

from ..exceptions import RefusedError
from . import fork

_POLL_SECONDS: Final = 1.0
"""How often a waiting call checks that the loop has not ended."""
_EXIT_SECONDS: Final = 1.0
_LOOP: Final = "loop"

Result = TypeVar("Result")


class LoopRunner:
    """Runs coroutines in the background loop, for any number of threads. ``close`` is final."""

    def __init__(self) -> None:
        self._is_closed = False
        self._key = object()
        self._thread: _LoopThread | None = None
        weakref.finalize(self, _process_loop.leave, self._key)
        fork.register(self)

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine in the context of the caller, and returns its result.

        Raises:
            RefusedError: The runner was closed, before or during the call.
            RuntimeError: The caller is a coroutine of the background loop, which would wait for itself.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop())
        except BaseException:
            coroutine.close()
            raise
        try:
            return self._wait(future)
        finally:
            # After an interruption; otherwise it has ended.
            future.cancel()

    @property
    def is_used(self) -> bool:
        """Whether a coroutine was run, in this process."""
        return self._thread is not None

    def close(self) -> None:
        """Cancels the calls in progress if no other runner uses the loop."""
        self._is_closed = True
        _process_loop.leave(self._key)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare: the thread may run during a fork."""

    def after_fork_in_child(self) -> None:
        """Forgets the loop of the parent."""
        self._thread = None

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._is_closed:
            raise _closed()
        if self._thread is None:
            self._thread = _process_loop.join(self._key)
        self._thread.start()
        if self._thread.loop.is_closed():
            raise _closed()  # The interpreter is shutting down.
        return self._thread.loop

    def _wait(self, future: futures.Future[Result]) -> Result:
        while True:
            done, _ = futures.wait([future], _POLL_SECONDS)
            if done:
                try:
                    return future.result()
                except futures.CancelledError:
                    raise _closed() from None
            if self._thread is None or self._thread.loop.is_closed():
                raise _closed()


class _LoopThread:
    """A loop and its thread.

    Attributes:
        loop: The loop; it accepts coroutines also before the thread has started.
        users: The keys of its runners.
        is_ending: Whether it accepts no more users.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.users: set[object] = set()
        self.is_ending = False
        self._end = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._unstarted = [None]

    def start(self) -> None:
        """Starts the thread if it has not started.

        Raises:
            RuntimeError: This is the thread.
        """
        if self._thread is None:
            # A call that was interrupted may start another one, and so may a concurrent call: all but one end at once.
            threading.Thread(target=self._run, name="package-database loop", daemon=True).start()
        elif self._thread is threading.current_thread():
            raise RuntimeError("a coroutine of the background loop called a blocking function")

    def schedule(self, function: Callable[..., None], *arguments: Any) -> bool:
        """Calls a function in the thread; returns False if the loop has ended."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return False
        return True

    def end(self) -> None:
        """Ends the loop; called in its thread."""
        self._end.set()

    def join(self, seconds: float) -> None:
        """Ends the loop, and waits for it."""
        if self.schedule(self.end) and self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._unstarted.pop()
        except IndexError:
            return
        self._thread = threading.current_thread()
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self._end.wait()


class _ProcessLoop:
    """The loop of the process, while it has users. It needs no lock, which an interrupted call would keep."""

    def __init__(self) -> None:
        self._current: dict[str, _LoopThread] = {}
        self._of_parents: list[dict[str, _LoopThread]] = []
        fork.register(self)
        atexit.register(self.end_at_exit)

    def join(self, key: object) -> _LoopThread:
        """Adds a user to the loop, and returns it."""
        while True:
            thread = self._current.get(_LOOP) or self._create()
            thread.users.add(key)
            # The thread sets `is_ending` before it checks `users`, so that one of both notices the other.
            if not thread.is_ending:
                return thread
            thread.users.discard(key)
            time.sleep(0)

    def leave(self, key: object) -> None:
        """Removes a user, if it is one; also called by the garbage collector, at any time in any thread."""
        thread = self._current.get(_LOOP)
        if thread is not None and key in thread.users:
            thread.users.discard(key)
            thread.schedule(self._end_if_unused, thread)

    def end_at_exit(self) -> None:
        """Ends the loop while the interpreter still works."""
        if (thread := self._current.get(_LOOP)) is not None:
            thread.join(_EXIT_SECONDS)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Forgets the loop of the parent, but does not collect it: that would change its selector."""
        self._of_parents.append(self._current)
        self._current = {}

    def _create(self) -> _LoopThread:
        created = _LoopThread()
        thread = self._current.setdefault(_LOOP, created)
        if thread is not created:
            created.loop.close()
        return thread

    def _end_if_unused(self, thread: _LoopThread) -> None:
        thread.is_ending = True
        if thread.users:
            thread.is_ending = False
        else:
            self._current.pop(_LOOP, None)
            thread.end()


_process_loop: Final = _ProcessLoop()


def _closed() -> RefusedError:
    return RefusedError("the database was closed", code="Closed")
