"""A configured store with its two engines, each created on first use."""

from __future__ import annotations

from ..engines.port import AsyncEngine, Config, Engine
from .state_lock import state


class Instance:
    """A configured store; its engines stay open until they are closed.

    Attributes:
        config: The configuration.
        id: The id in the file of instances; None for a store that is not listed there.
    """

    def __init__(self, config: Config, id: str | None = None) -> None:  # noqa: A002 (the term of the file)
        self.config = config
        self.id = id
        self._engine: Engine | None = None
        self._async_engine: AsyncEngine | None = None

    def engine(self) -> Engine:
        """Returns the engine for threads."""
        engine = self._engine
        if engine is None:
            with state.lock:
                engine = self._engine = self._engine or self._open()
        return engine

    def async_engine(self) -> AsyncEngine:
        """Returns the engine for asyncio."""
        engine = self._async_engine
        if engine is None:
            with state.lock:
                engine = self._async_engine = self._async_engine or self._open_async()
        return engine

    def close(self) -> None:
        """Closes the engine for threads; the next call creates another."""
        with state.lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    async def aclose(self) -> None:
        """Closes the engine for asyncio; the next call creates another."""
        with state.lock:
            engine, self._async_engine = self._async_engine, None
        if engine is not None:
            await engine.aclose()

    def _open(self) -> Engine:
        from ..model.schema import TABLES

        return self.config.open_engine(TABLES)

    def _open_async(self) -> AsyncEngine:
        from ..model.schema import TABLES

        return self.config.open_async_engine(TABLES)
