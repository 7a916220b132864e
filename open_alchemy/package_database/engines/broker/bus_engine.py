"""The engine for threads on a message bus, whose client exists for asyncio only."""

from __future__ import annotations

from typing import Any

from ..port import Administration
from ..sync_adapter import BlockingEngine
from .administration import BrokerAdministration
from .async_engine import AsyncBrokerEngine
from .config import BrokerConfig


def open_bus_engine(config: BrokerConfig) -> BlockingEngine:
    """Returns the engine of a configuration. Nothing is opened before it is used."""
    engine = AsyncBrokerEngine(config)

    def ask(body: Any, what: str) -> Any:
        return blocking.run(engine.ask(body, what))

    def administration() -> Administration:
        return BrokerAdministration(ask)

    blocking = BlockingEngine(engine, administration)
    return blocking
