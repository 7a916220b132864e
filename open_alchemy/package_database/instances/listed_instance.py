"""An instance of a file, whose engines are closed while they are not used."""

from __future__ import annotations

from ..engines.port import AsyncEngine, Config, Engine
from .instance import Instance
from .open_engines import OpenEngines, Slot
from .self_closing import SelfClosingAsyncEngine, SelfClosingEngine


class ListedInstance(Instance):
    """An instance of a file.

    Args:
        id: Its id.
        url: Its URL, which may contain a password.
        config: The configuration at this URL.
        engines: The open engines of the file.
    """

    def __init__(self, id: str, url: str, config: Config, engines: OpenEngines) -> None:  # noqa: A002
        super().__init__(config, id)
        self.url = url
        self._engines = engines
        self._slot: Slot[SelfClosingEngine] = Slot(lambda: SelfClosingEngine(self._open()))
        self._async_slot: Slot[SelfClosingAsyncEngine] = Slot(lambda: SelfClosingAsyncEngine(self._open_async()))

    def engine(self) -> Engine:
        """Returns the engine for threads; the caller refers to it as long as it uses it."""
        return self._engines.get(self._slot)

    def async_engine(self) -> AsyncEngine:
        """Returns the engine for asyncio; the caller refers to it as long as it uses it."""
        return self._engines.get(self._async_slot)

    def close(self) -> None:
        """Closes the engine for threads; the next call opens another."""
        engine = self._engines.remove(self._slot)
        if engine is not None:
            engine.close()

    async def aclose(self) -> None:
        """Closes the engine for asyncio; the next call opens another."""
        engine = self._engines.remove(self._async_slot)
        if engine is not None:
            await engine.aclose()

    def unlist(self) -> None:
        """Closes both engines when their calls end; the instance was removed from the file."""
        self._engines.unlist(self._slot)
        self._engines.unlist(self._async_slot)
