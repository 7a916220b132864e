"""An engine for ``await`` over one that blocks: each operation is carried out in a thread of the loop's executor.

The executor is the loop's own, which ends with the loop and is not carried over a fork.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..core.deadline import Deadline
from ..core.operations import StoreOperation
from ..exceptions import RefusedError, UnavailableError
from .port import Config, Engine

_SHORTEST_WAIT: Final = 0.1
"""Seconds in which a free thread finds that the deadline is over, and says so better."""

Result = TypeVar("Result")


class ThreadedEngine:
    """An engine for ``await``. An operation whose call was cancelled goes on in its thread to its end.

    Args:
        make_engine: Makes the engine that blocks, anew after it was closed.
    """

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self._engine = make_engine()
        self._prepared: Engine | None = None

    @property
    def config(self) -> Config:
        """The engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    async def prepare(self) -> None:
        """Prepares the engine in a thread, because that opens files."""
        engine = self._engine
        if self._prepared is not engine:
            await _in_a_thread(engine.prepare)
            self._prepared = engine

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation and returns its result; raises what the engine raises.

        Raises:
            UnavailableError: No thread of the executor was free until the deadline, or one did not end.
        """
        import asyncio

        work = asyncio.get_running_loop().run_in_executor(None, self._execute, operation, deadline)
        while True:
            await asyncio.wait([work], timeout=max(_SHORTEST_WAIT, deadline.attempt_seconds()))
            if work.done():
                return work.result()
            # Its progress may have started the deadline anew.
            if deadline.attempt_seconds() <= 0:
                work.cancel()
                raise UnavailableError(f"no thread of the loop's executor was done in {deadline.elapsed():.1f} s")

    async def aclose(self) -> None:
        """Closes the engine; the next operation opens another."""
        closed, self._engine = self._engine, self._make_engine()
        await _in_a_thread(closed.close)

    def _execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation on the engine of now: it may be closed before and meanwhile."""
        while True:
            engine = self._engine
            engine.prepare()
            try:
                return engine.execute(operation, deadline)
            except RefusedError as error:
                if error.code != "Closed" or engine is self._engine:
                    raise


async def _in_a_thread(function: Callable[[], Result]) -> Result:
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(None, function)
