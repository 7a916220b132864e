"""An instance that a broker serves: its engines publish changes, and a function of the application cannot close it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from ..engines.port import AsyncEngine, Config, Engine
from ..instances.instance import Instance, ResourceType
from .events import Events
from .publishing import PublishingAsyncEngine, PublishingEngine, scheduled


class ServedInstance(Instance):
    """An instance that a broker serves; created in the event loop of the broker.

    Args:
        instance: The instance.
        name: Its name in requests; empty for the default one.
        events: The subscriptions.
    """

    def __init__(self, instance: Instance, name: str, events: Events) -> None:
        super().__init__(instance.config, instance.id)
        self.served = instance
        self._publish = partial(events.publish, name)
        self._publish_from_thread = scheduled(asyncio.get_running_loop(), self._publish)
        self._is_heard = partial(events.is_heard, name)

    def engine(self) -> Engine:
        """Returns the engine for threads."""
        return PublishingEngine(self.served.engine(), self._publish_from_thread, self._is_heard)

    def async_engine(self) -> AsyncEngine:
        """Returns the engine for asyncio."""
        return PublishingAsyncEngine(self.served.async_engine(), self._publish, self._is_heard)

    def resource(self, create: Callable[[Config], ResourceType]) -> ResourceType:
        """Returns the resource of the instance."""
        return self.served.resource(create)

    def close(self) -> None:
        """Does nothing: others use the engines."""

    async def aclose(self) -> None:
        """Does nothing: others use the engines."""
