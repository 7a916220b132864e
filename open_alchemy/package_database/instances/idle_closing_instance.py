"""An instance of a file, whose engines are closed while they are not used."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engines.port import AsyncEngine, Config, Engine
from .closer import closer
from .instance import Instance, Resource, ResourceType
from .open_engines import OpenEngines, Slot
from .self_closing_engine import SelfClosingEngine
from .state_lock import state

if TYPE_CHECKING:
    from .self_closing_async_engine import SelfClosingAsyncEngine


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
        self._async_slot: Slot[SelfClosingAsyncEngine] = Slot(self._open_self_closing_async)
        self._resource_slots: dict[Callable[[Config], Any], Slot[Any]] = {}

    def engine(self) -> Engine:
        """Returns the engine for threads; the caller refers to it as long as it uses it."""
        return self._engines.get(self._slot)

    def async_engine(self) -> AsyncEngine:
        """Returns the engine for asyncio; the caller refers to it as long as it uses it."""
        return self._engines.get(self._async_slot)

    def resource(self, create: Callable[[Config], ResourceType]) -> ResourceType:
        """Returns what a function creates for this instance; closes it when nothing refers to it any more."""
        slot: Slot[ResourceType] | None = self._resource_slots.get(create)
        if slot is None:
            with state.lock:
                new: Slot[ResourceType] = Slot(lambda: _self_closing(create(self.config)))
                slot = self._resource_slots.setdefault(create, new)
        return self._engines.get(slot)

    def close(self) -> None:
        """Closes the engine for threads and the resources; the next call opens others."""
        for resource in self._remove_resources():
            resource.connections.close()
        engine = self._engines.remove(self._slot)
        if engine is not None:
            engine.close()

    async def aclose(self) -> None:
        """Closes the engine for asyncio and the resources; the next call opens others."""
        for resource in self._remove_resources():
            await resource.connections.aclose()
        engine = self._engines.remove(self._async_slot)
        if engine is not None:
            await engine.aclose()

    def unlist(self) -> None:
        """Closes the engines and resources when their calls end; the instance was removed from the file."""
        with state.lock:
            slots: tuple[Slot[Any], ...] = (self._slot, self._async_slot, *self._resource_slots.values())
        for slot in slots:
            self._engines.unlist(slot)

    def _open_self_closing_async(self) -> SelfClosingAsyncEngine:
        from .self_closing_async_engine import SelfClosingAsyncEngine

        return SelfClosingAsyncEngine(self._open_async())

    def _remove_resources(self) -> list[Resource]:
        with state.lock:
            slots = list(self._resource_slots.values())
        return [resource for slot in slots if (resource := self._engines.remove(slot)) is not None]


def _self_closing(resource: ResourceType) -> ResourceType:
    """Has the connections of a resource closed when nothing refers to it any more."""
    weakref.finalize(resource, closer.add, resource.connections.close).atexit = False
    return resource
