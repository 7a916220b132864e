"""An engine for ``await`` over one that blocks: each operation is carried out in a thread of the loop's executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..deadline import Deadline
from ..operations import StoreOperation


class BlockingEngine(Protocol):
    """What it needs of an engine."""

    @property
    def attempt_seconds(self) -> float:
        """How long in seconds a request may take once it is begun."""

    def prepare(self) -> None:
        """Loads what the first operation needs."""

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation and returns its result."""

    def close(self) -> None:
        """Closes what is open."""


class ThreadedEngine:
    """An engine for ``await``. An operation whose call was cancelled goes on in its thread to its end.

    Args:
        make_engine: Makes the engine that blocks, anew after it was closed.
    """

    def __init__(self, make_engine: Callable[[], BlockingEngine]) -> None:
        self._make_engine = make_engine
        self._engine = make_engine()
        self._is_prepared = False

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    async def prepare(self) -> None:
        """Prepares the engine in a thread, because that opens files."""
        if not self._is_prepared:
            await _in_a_thread(self._engine.prepare)
            self._is_prepared = True

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation and returns its result; raises what the engine raises."""
        return await _in_a_thread(self._engine.execute, operation, deadline)

    async def aclose(self) -> None:
        """Closes the engine; the next operation opens another."""
        closed, self._engine, self._is_prepared = self._engine, self._make_engine(), False
        await _in_a_thread(closed.close)


async def _in_a_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)
