"""An async engine that runs the operations of a blocking engine in threads."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..core.deadline import Deadline
from ..core.operations import Get, StoreOperation
from ..exceptions import RefusedError, UnavailableError
from . import fork
from .port import Config, Engine

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .shared_threads import EngineThreads

_MIN_WAIT: Final = 0.1
"""Seconds in which a free thread finds that the deadline is exceeded, and raises the better error."""
_READ_NOW_SECONDS: Final = 0.002

Result = TypeVar("Result")


class ThreadedEngine:
    """An engine for ``await``, for any number of event loops.

    A cancelled operation does not run if no thread has started it; otherwise it stops waiting for locks, and what it
    executes ends in its thread.

    Args:
        engine: An engine that many threads may use at once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_prepared = False
        self._is_closed = False
        self.after_fork_in_child()
        fork.register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare: threads may run during a fork."""

    def after_fork_in_child(self) -> None:
        """Drops the calls that wait for threads, which a child does not have."""
        self._threads: EngineThreads | None = None

    @property
    def config(self) -> Config:
        """The engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    async def prepare(self) -> None:
        """Prepares the engine in a thread, because that opens files; raises what the engine raises.

        Raises:
            UnavailableError: No thread was free until the deadline of the configuration, or one did not finish.
        """
        if self._is_closed or not self._is_prepared:
            await self._call(self._engine.prepare, Deadline(self._engine.config.deadline))
            self._is_prepared = True

    def queue(self) -> None:
        """Calls wait when they execute an operation."""

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result; raises what the engine raises.

        Raises:
            UnavailableError: No thread was free until the deadline, or one did not finish.
        """
        return await self._call(lambda: self._execute(operation, deadline), deadline)

    def read_now(self, operation: Get) -> Any:
        """Executes a read in the calling thread, if no lock delays it; see ``ImmediateReads``."""
        if not self._is_prepared:
            raise UnavailableError("the engine is not prepared")
        return self._engine.execute(operation, Deadline(_READ_NOW_SECONDS))

    async def aclose(self) -> None:
        """Closes the engine, for good. Operations that threads have started end first or fail."""
        if self._is_closed:
            return
        try:
            await self._call(self._engine.close, Deadline(self._engine.config.deadline))
        finally:
            self._is_closed = True

    def _execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self._engine.prepare()
        return self._engine.execute(operation, deadline)

    async def _call(self, function: Callable[[], Result], deadline: Deadline) -> Result:
        """Runs a function in a thread, and waits for it no longer than the deadline."""
        import asyncio

        submitted = self._submit(function)
        work = asyncio.wrap_future(submitted)
        # An error of work that nobody waits for any more is not reported as "never retrieved".
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            while not work.done():
                # Progress of the operation may have restarted the deadline.
                if deadline.attempt_seconds() <= 0:
                    state = "did not finish" if submitted.running() else "was not started: all threads were busy"
                    seconds = deadline.elapsed()
                    raise UnavailableError(f"an operation {state} in {seconds:.1f} s", seconds=seconds)
                await asyncio.wait([work], timeout=max(_MIN_WAIT, deadline.attempt_seconds()))
            return work.result()
        finally:
            if not work.done():
                # Not through `work`, which passes it on in a later iteration of the loop.
                submitted.cancel()
                work.cancel()
                deadline.expire()

    def _submit(self, function: Callable[[], Result]) -> Future[Result]:
        if self._is_closed:
            raise RefusedError("the database was closed", code="Closed")
        if self._threads is None:
            from .shared_threads import EngineThreads

            self._threads = EngineThreads()
        try:
            # With the context of the caller, whose span is the parent of the operation's.
            return self._threads.submit(partial(copy_context().run, function))
        except RuntimeError as error:
            raise UnavailableError("the interpreter is shutting down") from error
