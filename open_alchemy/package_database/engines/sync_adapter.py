"""An engine for threads that runs the operations of an async engine in the background loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from ..core.deadline import Deadline
from ..core.operations import StoreOperation
from ..exceptions import RefusedError
from .background_loop import LoopRunner
from .port import Administration, AsyncEngine, Config

_CLOSE_SECONDS: Final = 1.0

Result = TypeVar("Result")


class BlockingEngine:
    """An engine on an async engine, which only this engine uses.

    Args:
        engine: The async engine.
        administration: Returns the administration of the store's tables.
    """

    def __init__(self, engine: AsyncEngine, administration: Callable[[], Administration]) -> None:
        self._engine = engine
        self._runner = LoopRunner()
        self._is_prepared = False
        self.administration = administration

    @property
    def config(self) -> Config:
        """The async engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The async engine's."""
        return self._engine.attempt_seconds

    def prepare(self) -> None:
        """Prepares the async engine; raises what that raises."""
        if not self._is_prepared:
            self.run(self._engine.prepare())
            self._is_prepared = True

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result; raises what the async engine raises."""
        return self.run(self._execute(operation, deadline))

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine of the async engine, and returns its result.

        Raises:
            RefusedError: The engine was closed.
        """
        return self._runner.run(coroutine)

    def close(self) -> None:
        """Closes the async engine, for good."""
        try:
            if self._runner.is_used:
                self.run(self._close())
        except (RefusedError, TimeoutError):
            pass  # It was closed before, or a peer does not read.
        finally:
            self._runner.close()

    async def _close(self) -> None:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await self._engine.aclose()

    async def _execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        await self._engine.prepare()
        return await self._engine.execute(operation, deadline)
