"""Engines that publish the changes of each transaction that took effect.

Whether a put creates or updates an item is decided by its condition, or else by reading the item before the
transaction, as long as anybody is subscribed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from ..core.deadline import Deadline
from ..core.operations import (
    AllOf,
    Below,
    Condition,
    Delete,
    Equal,
    Get,
    Missing,
    Put,
    StoreOperation,
    Table,
    Transact,
)
from ..core.runner import drive, drive_async
from ..engines.broker.messages import Change
from ..engines.port import Administration, AsyncEngine, Config, Engine
from .events import Events

Publish: TypeAlias = Callable[[Sequence[Change]], None]


class PublishingEngine:
    """An engine for threads.

    Args:
        engine: Executes the operations.
        publish: Publishes changes; called in the thread of the operation.
        is_heard: Returns whether changes have subscribers.
    """

    def __init__(self, engine: Engine, publish: Publish, is_heard: Callable[[], bool]) -> None:
        self._engine = engine
        self._publish = publish
        self._is_heard = is_heard

    @property
    def config(self) -> Config:
        """The engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    def prepare(self) -> None:
        """Prepares the engine."""
        self._engine.prepare()

    def administration(self) -> Administration:
        """Returns the administration of the engine's tables."""
        return self._engine.administration()

    def close(self) -> None:
        """Closes the engine."""
        self._engine.close()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation, and publishes its changes."""
        if not isinstance(operation, Transact) or not self._is_heard():
            return self._engine.execute(operation, deadline)
        return drive(execute(operation, self._publish), lambda part: self._engine.execute(part, deadline))


class PublishingAsyncEngine:
    """An engine for asyncio; see ``PublishingEngine``."""

    def __init__(self, engine: AsyncEngine, publish: Publish, is_heard: Callable[[], bool]) -> None:
        self._engine = engine
        self._publish = publish
        self._is_heard = is_heard

    @property
    def config(self) -> Config:
        """The engine's."""
        return self._engine.config

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    async def prepare(self) -> None:
        """Prepares the engine."""
        await self._engine.prepare()

    def queue(self) -> Awaitable[None] | None:
        """Returns what a call must await before it starts."""
        return self._engine.queue()

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation, and publishes its changes."""
        if not isinstance(operation, Transact) or not self._is_heard():
            return await self._engine.execute(operation, deadline)
        return await drive_async(execute(operation, self._publish), lambda part: self._engine.execute(part, deadline))

    async def aclose(self) -> None:
        """Closes the engine."""
        await self._engine.aclose()


def execute(transact: Transact, publish: Publish) -> Generator[StoreOperation, Any, Any]:
    """Executes a transaction, and publishes its changes if it took effect."""
    changes: list[Change] = []
    for action in transact.actions:
        match action:
            case Put(table, item, condition):
                is_new = creates(table, condition)
                if is_new is None:
                    is_new = (yield Get(table, table.key_of(item))) is None
                revision = item.get("revision")
                key = item[table.partition_key], item[table.sort_key]
                kind = "created" if is_new else "updated"
                changes.append(Change(kind, table.name, *map(str, key), None if revision is None else str(revision)))
            case Delete(table, key):
                changes.append(Change("deleted", table.name, key[table.partition_key], key[table.sort_key]))
    failures = yield transact
    if changes and not failures:
        publish(changes)
    return failures


def creates(table: Table, condition: Condition | None) -> bool | None:
    """Returns whether a put with this condition creates an item, or updates one; None if it may do either."""
    match condition:
        case Missing(attribute) if attribute in (table.partition_key, table.sort_key):
            return True
        case Equal() | Below():
            return False
        case AllOf(conditions):
            return next((known for part in conditions if (known := creates(table, part)) is not None), None)
    return None


def publishing_engines(
    config: Config, tables: Sequence[Table], events: Events, instance: str = ""
) -> tuple[PublishingAsyncEngine, PublishingEngine]:
    """Opens the engines of a store, which publish its changes; called in the event loop of the broker.

    Args:
        config: The store.
        tables: Its tables.
        events: The subscriptions.
        instance: The name of the instance.
    """
    loop = asyncio.get_running_loop()
    publish, is_heard = partial(events.publish, instance), partial(events.is_heard, instance)
    engine = PublishingAsyncEngine(config.open_async_engine(tables), publish, is_heard)
    return engine, PublishingEngine(
        config.open_engine(tables), lambda changes: schedule(loop, publish, changes), is_heard
    )


def schedule(loop: asyncio.AbstractEventLoop, publish: Publish, changes: Sequence[Change]) -> None:
    """Publishes changes from a thread; does nothing if the broker has stopped."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(publish, changes)
