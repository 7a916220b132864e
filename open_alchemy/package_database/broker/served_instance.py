"""An instance that a broker serves: its engines invalidate caches and publish changes.

A function of the application cannot close it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from ..engines.port import AsyncEngine, Config, Engine
from ..instances.instance import Instance, ResourceType
from .change_publishing import PublishingAsyncEngine, PublishingEngine, scheduled
from .coherence_driver import Caching
from .coherent_engine import CoherentBlockingEngine, CoherentEngine
from .subscriptions import Subscriptions


class ServedInstance(Instance):
    """An instance that a broker serves; created in the event loop of the broker.

    Args:
        instance: The instance.
        name: Its name in requests; empty for the default one.
        subscriptions: The subscriptions.
        caching: The caches of its clients, for which all writes wait; None: none of them caches.
    """

    def __init__(
        self, instance: Instance, name: str, subscriptions: Subscriptions, caching: Caching | None = None
    ) -> None:
        super().__init__(instance.config, instance.id)
        self.served = instance
        self.caching = caching
        self._publish = partial(subscriptions.publish, name)
        self._publish_from_thread = scheduled(asyncio.get_running_loop(), self._publish)
        self._is_heard = partial(subscriptions.is_heard, name)

    def engine(self) -> Engine:
        """Returns the engine for threads."""
        engine = self.served.engine()
        if self.caching is not None:
            engine = CoherentBlockingEngine(engine, self.caching)
        return PublishingEngine(engine, self._publish_from_thread, self._is_heard)

    def async_engine(self) -> AsyncEngine:
        """Returns the engine for asyncio."""
        engine = self.served.async_engine()
        if self.caching is not None:
            engine = CoherentEngine(engine, self.caching)
        return PublishingAsyncEngine(engine, self._publish, self._is_heard)

    def resource(self, create: Callable[[Config], ResourceType]) -> ResourceType:
        """Returns the resource of the instance."""
        return self.served.resource(create)

    def close(self) -> None:
        """Does nothing: others use the engines."""

    async def aclose(self) -> None:
        """Does nothing: others use the engines."""
