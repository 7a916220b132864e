"""The instances that a broker serves and their stores, by their names: opened on first use, and closed while idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from ..core.operations import Table
from ..engines.broker.operation_messages import Schema
from ..engines.port import AsyncEngine, Config, Engine
from ..exceptions import BaseError, ConfigurationError, NotFoundError
from ..instances import api
from ..instances.instance import Instance, ResourceType
from .change_publishing import PublishingAsyncEngine, PublishingEngine, scheduled
from .coherence_driver import Caching
from .coherent_engine import CoherentBlockingEngine, CoherentEngine
from .served_store import ServedStore
from .subscriptions import Subscriptions

Find: TypeAlias = Callable[[str], Instance]
"""Returns an instance by its name; raises ``NotFoundError`` or ``ConfigurationError`` if there is none."""
StartCaching: TypeAlias = Callable[[str, Caching], None]
"""Starts the caching of an instance. Messages to other brokers contain this name of it."""


class ServedInstance(Instance):
    """An instance that a broker serves: its engines invalidate caches and publish changes.

    It is created in the event loop of the broker. A function of the application cannot close it.

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


class ServedInstances(Mapping[str, ServedInstance]):
    """The instances that a broker serves; iteration yields those that were used.

    Args:
        find: Finds an instance.
        subscriptions: The subscriptions.
        tables: Their tables.
        granters: See ``Caching``.
    """

    def __init__(self, find: Find, subscriptions: Subscriptions, tables: Sequence[Table], granters: int = 1) -> None:
        self._find = find
        self._subscriptions = subscriptions
        self._schema = Schema(tables)
        self._granters = granters
        self._used: dict[str, ServedInstance] = {}
        self._caching: dict[Instance, tuple[str, Caching]] = {}
        self._start: StartCaching | None = None

    def __getitem__(self, name: str) -> ServedInstance:
        try:
            instance = self._find(name)
        except (NotFoundError, ConfigurationError):
            self._used.pop(name, None)
            raise KeyError(name) from None
        known = self._used.get(name)
        # The URL of an instance may have changed.
        if known is None or known.served is not instance:
            known = self._used[name] = ServedInstance(
                instance, name, self._subscriptions, self._caching_of(instance, name)
            )
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self._used)

    def __len__(self) -> int:
        return len(self._used)

    def start_caching(self, start: StartCaching) -> None:
        """Calls a function with the caching of each instance, now or when the instance is used for the first time."""
        self._start = start
        for name, caching in self._caching.values():
            start(name, caching)

    async def aclose(self) -> None:
        """Closes the engines."""
        for instance in self._caching:
            with suppress(BaseError):
                await instance.aclose()
            instance.close()

    def _caching_of(self, instance: Instance, name: str) -> Caching:
        """Returns the caching of an instance, which may have two names. Its engines may be closed and opened again."""
        if instance not in self._caching:
            caching = Caching(instance.async_engine, self._schema, granters=self._granters)
            self._caching[instance] = name, caching
            if self._start is not None:
                self._start(name, caching)
        return self._caching[instance][1]


class ServedStores(Mapping[str, ServedStore]):
    """The stores of the instances.

    Args:
        instances: The instances.
        tables: Their tables.
        allows_administration: Whether clients may create, empty and delete tables.
    """

    def __init__(self, instances: ServedInstances, tables: Sequence[Table], *, allows_administration: bool) -> None:
        self._instances = instances
        self._tables = tables
        self._allows_administration = allows_administration
        self._stores: dict[str, tuple[ServedInstance, ServedStore]] = {}

    def __getitem__(self, name: str) -> ServedStore:
        instance = self._instances[name]
        known = self._stores.get(name)
        if known is None or known[0] is not instance:
            known = self._stores[name] = instance, self._open(instance)
        return known[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._instances)

    def __len__(self) -> int:
        return len(self._instances)

    def figures(self) -> dict[str, int]:
        """Returns the figures of the connections to all stores."""
        stores = [store for _, store in self._stores.values()]
        return {
            "pool_waiting": sum(store.waiting for store in stores),
            "pool_executing": sum(store.executing for store in stores),
        }

    def _open(self, instance: ServedInstance) -> ServedStore:
        return ServedStore(
            instance.async_engine,
            lambda: instance.engine().administration(),
            self._tables,
            allows_administration=self._allows_administration,
            caching=instance.caching,
            open_reader=instance.served.async_engine,
        )

    def start_caching(self, start: StartCaching) -> None:
        """See ``ServedInstances``."""
        self._instances.start_caching(start)


def find_instance(name: str) -> Instance:
    """Returns the instance with a name, or the default one; only the selected one, if one is selected."""
    selected = api.selected_instance()
    if selected is not None:
        return only(selected)(name)
    return api.directory().get(name) if name else api.directory().default()


def only(instance: Instance) -> Find:
    """Returns a function that finds one instance, which is the default one."""

    def find(name: str) -> Instance:
        if name:
            raise NotFoundError(f"the broker serves one store only, and has no instance {name!r}")
        return instance

    return find
