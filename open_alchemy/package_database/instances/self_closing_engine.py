"""Engines that are closed when nothing refers to them any more: instead of a lease count, their reference count.

A call refers to its engine until it ends, however it ends, and so does a stream that is suspended or dropped, so that
an engine in use is never closed. A traceback refers to the engine of its call too.
"""

from __future__ import annotations

import weakref

from ..engines.port import Engine
from ..engines.wrapper import EngineWrapper
from .closer import closer


class SelfClosingEngine(EngineWrapper):
    """An engine for threads.

    Args:
        engine: The engine that it closes.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._finalizer = weakref.finalize(self, closer.add, engine.close)
        self._finalizer.atexit = False

    @property
    def inner(self) -> Engine:
        """The engine."""
        return self._engine

    def close(self) -> None:
        """Closes the engine now, also for calls in progress."""
        self._finalizer.detach()
        super().close()
