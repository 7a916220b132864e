"""A configured store with its two engines, each created on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ..engines.port import AsyncEngine, Config, Engine
from .state_lock import state


class Connections(Protocol):
    """The connections of a resource."""

    def close(self) -> None:
        """Closes them; those in use are closed when they are released."""

    async def aclose(self) -> None:
        """Closes them, and waits for those of the running loop."""


class Resource(Protocol):
    """What another module opens for an instance; closed with the instance's engines."""

    @property
    def connections(self) -> Connections:
        """Its connections, which do not refer to the resource."""


ResourceType = TypeVar("ResourceType", bound=Resource)


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
        self._resources: dict[Callable[[Config], Any], Any] = {}

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

    def resource(self, create: Callable[[Config], ResourceType]) -> ResourceType:
        """Returns what a function creates for this instance, which performs no I/O: on first use, and until a close.

        The caller refers to the resource as long as it uses it.
        """
        with state.lock:
            if create not in self._resources:
                self._resources[create] = create(self.config)
            resource: ResourceType = self._resources[create]
        return resource

    def close(self) -> None:
        """Closes the engine for threads and the resources; the next call creates others."""
        with state.lock:
            engine, self._engine = self._engine, None
        for resource in self._remove_resources():
            resource.connections.close()
        if engine is not None:
            engine.close()

    async def aclose(self) -> None:
        """Closes the engine for asyncio and the resources; the next call creates others."""
        with state.lock:
            engine, self._async_engine = self._async_engine, None
        for resource in self._remove_resources():
            await resource.connections.aclose()
        if engine is not None:
            await engine.aclose()

    def _remove_resources(self) -> list[Resource]:
        with state.lock:
            resources, self._resources = self._resources, {}
        return list(resources.values())

    def _open(self) -> Engine:
        from ..model.schema import TABLES

        return self.config.open_engine(TABLES)

    def _open_async(self) -> AsyncEngine:
        from ..model.schema import TABLES

        return self.config.open_async_engine(TABLES)
