"""The engine for threads whose client exists for asyncio only, and runs in the background loop."""

from __future__ import annotations

from typing import Any

from ..sync_adapter import BlockingEngine
from .administration import BrokerAdministration
from .async_engine import AsyncBrokerEngine
from .config import BrokerConfig


class LoopEngine(BlockingEngine):
    """A database behind brokers. Nothing is opened before it is used."""

    def __init__(self, config: BrokerConfig) -> None:
        self._client = AsyncBrokerEngine(config)
        super().__init__(self._client, lambda: BrokerAdministration(self.ask))

    def ask(self, body: Any, what: str, **options: bool) -> Any:
        """Sends a request that is no operation; see ``BrokerEngine.ask``."""
        return self.run(self._client.ask(body, what, **options))
