"""Engines that are closed when nothing refers to them any more: instead of a lease count, their reference count.

A call refers to its engine until it ends, however it ends, and so does a stream that is suspended or dropped, so that
an engine in use is never closed. A traceback refers to the engine of its call too.
"""

from __future__ import annotations

import weakref
from typing import Any

from ..core.deadline import Deadline
from ..core.operations import StoreOperation
from ..engines.port import Administration, Config, Engine
from .closer import closer


class SelfClosingEngine:
    """An engine for threads.

    Args:
        engine: The engine that it closes.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._finalizer = weakref.finalize(self, closer.add, engine.close)
        self._finalizer.atexit = False

    @property
    def inner(self) -> Engine:
        """The engine."""
        return self._engine

    @property
    def config(self) -> Config:
        """The engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    def prepare(self) -> None:
        """Prepares the engine."""
        self._engine.prepare()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation."""
        return self._engine.execute(operation, deadline)

    def administration(self) -> Administration:
        """Returns the administration of the engine's tables."""
        return self._engine.administration()

    def close(self) -> None:
        """Closes the engine now, also for calls in progress."""
        self._finalizer.detach()
        self._engine.close()
