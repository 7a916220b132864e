"""The store of a broker as the database of the broker's process, for exposed functions."""

from __future__ import annotations

from ..engines.port import AsyncEngine, Engine
from ..instances.instance import Instance


class ServedInstance(Instance):
    """A store that the broker serves. A function of the application cannot close it.

    Args:
        engine: The broker's engine for threads.
        async_engine: The broker's engine for asyncio.
        id: The id of the instance; None for the default one.
    """

    def __init__(self, engine: Engine, async_engine: AsyncEngine, id: str | None = None) -> None:  # noqa: A002
        super().__init__(async_engine.config, id)
        self._engine = engine
        self._async_engine = async_engine

    def close(self) -> None:
        """Does nothing: others use the engines."""

    async def aclose(self) -> None:
        """Does nothing: others use the engines."""

    async def shut_down(self) -> None:
        """Closes the engines and the resources."""
        await super().aclose()
        super().close()
