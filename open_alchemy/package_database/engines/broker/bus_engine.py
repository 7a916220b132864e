"""The engine for threads on a message bus, whose client exists for asyncio only."""

from __future__ import annotations

from typing import Any

from ..port import Administration
from ..sync_adapter import BlockingEngine
from .administration import BrokerAdministration
from .async_engine import AsyncBrokerEngine
from .config import BrokerConfig


class BusEngine(BlockingEngine):
    """A database behind brokers on a message bus. Nothing is opened before it is used."""

    def __init__(self, config: BrokerConfig) -> None:
        self._async_engine = AsyncBrokerEngine(config)
        super().__init__(self._async_engine, self._administration)

    def ask(self, body: Any, what: str, **options: bool) -> Any:
        """Sends a request that is no operation; see ``BrokerEngine.ask``."""
        return self.run(self._async_engine.ask(body, what, **options))

    def _administration(self) -> Administration:
        return BrokerAdministration(self.ask)


def open_bus_engine(config: BrokerConfig) -> BusEngine:
    """Returns the engine of a configuration."""
    return BusEngine(config)
