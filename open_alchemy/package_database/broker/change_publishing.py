"""Engines that publish the changes of each transaction that took effect.

Whether a put creates or updates an item is decided by its condition, or else by reading the item before the
transaction, as long as anybody is subscribed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Literal, Protocol

from msgspec.structs import replace

from ..core.deadline import Deadline
from ..core.operations import (
    AllOf,
    Below,
    Condition,
    Delete,
    Equal,
    Get,
    Key,
    Missing,
    Put,
    StoreOperation,
    Table,
    Transact,
)
from ..core.runner import drive, drive_async
from ..engines.broker.messages import Change
from ..engines.port import AsyncEngine, Engine
from ..engines.wrapper import AsyncEngineWrapper, EngineWrapper
from ..exceptions import ConflictError, RefusedError


class Publish(Protocol):
    """Publishes changes, of which it may be unknown whether they took effect."""

    def __call__(self, changes: Sequence[Change], *, is_certain: bool = True) -> None:
        """Publishes changes."""


class PublishingEngine(EngineWrapper):
    """An engine for threads.

    Args:
        engine: Executes the operations.
        publish: Publishes changes; called in the thread of the operation.
        is_heard: Returns whether changes have subscribers.
    """

    def __init__(self, engine: Engine, publish: Publish, is_heard: Callable[[], bool]) -> None:
        super().__init__(engine)
        self._publish = publish
        self._is_heard = is_heard

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation, and publishes its changes."""
        if not isinstance(operation, Transact) or not self._is_heard():
            return self._engine.execute(operation, deadline)
        changes = drive(read_changes(operation), lambda part: self._engine.execute(part, deadline))
        with _published(changes, self._publish) as results:
            results.append(self._engine.execute(operation, deadline))
        return results[0]


class PublishingAsyncEngine(AsyncEngineWrapper):
    """An engine for asyncio; see ``PublishingEngine``."""

    def __init__(self, engine: AsyncEngine, publish: Publish, is_heard: Callable[[], bool]) -> None:
        super().__init__(engine)
        self._publish = publish
        self._is_heard = is_heard

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation, and publishes its changes."""
        if not isinstance(operation, Transact) or not self._is_heard():
            return await self._engine.execute(operation, deadline)
        changes = await drive_async(read_changes(operation), lambda part: self._engine.execute(part, deadline))
        with _published(changes, self._publish) as results:
            results.append(await self._engine.execute(operation, deadline))
        return results[0]


def read_changes(transact: Transact) -> Generator[StoreOperation, Any, list[Change]]:
    """Returns the changes that a transaction is about to make."""
    changes: list[Change] = []
    for action in transact.actions:
        match action:
            case Put(table, item, condition):
                is_new = creates(table, condition)
                if is_new is None:
                    is_new = (yield Get(table, table.key_of(item))) is None
                revision = item.get("revision")
                change = _change("created" if is_new else "updated", table, table.key_of(item))
                changes.append(change if revision is None else replace(change, revision=str(revision)))
            case Delete(table, key):
                changes.append(_change("deleted", table, key))
    return changes


@contextmanager
def _published(changes: Sequence[Change], publish: Publish) -> Iterator[list[Any]]:
    """Publishes changes if the result of their transaction, which the block adds to the list, has no failures."""
    results: list[Any] = []
    try:
        yield results
    except (ConflictError, RefusedError):
        raise
    except BaseException:
        publish(changes, is_certain=False)
        raise
    if changes and not results[0]:
        publish(changes)


def _change(kind: Literal["created", "updated", "deleted"], table: Table, key: Key) -> Change:
    return Change(kind, table.name, key[table.partition_key], key[table.sort_key])


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


def scheduled(loop: asyncio.AbstractEventLoop, publish: Publish) -> Publish:
    """Returns a function that publishes changes from a thread; it does nothing if the broker has stopped."""

    def publish_from_thread(changes: Sequence[Change], *, is_certain: bool = True) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(partial(publish, changes, is_certain=is_certain))

    return publish_from_thread
