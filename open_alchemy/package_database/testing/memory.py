"""An in-memory model of a store, with DynamoDB's semantics.

An operation is executed in steps, and other operations may run between them: a query and a scan take one step per item,
other operations one step. The contract suite runs on the model too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..core.deadline import Deadline
from ..core.operations import (
    MAX_TRANSACT_ACTIONS,
    Action,
    AllOf,
    AnyOf,
    AtLeast,
    Below,
    Check,
    Condition,
    Delete,
    Equal,
    Failures,
    Get,
    Index,
    Item,
    Key,
    Missing,
    Page,
    Put,
    Query,
    Scan,
    StoreOperation,
    Table,
    Transact,
)
from ..core.runner import drive, drive_async
from ..engines.port import DEFAULT_DEADLINE, Administration

Place: TypeAlias = tuple[str, bytes, bytes]
"""A table's name and the two keys: text sorts by its bytes in UTF-8."""


class MemoryStore:
    """The items of all tables.

    Args:
        index_lags: Whether the global indexes are updated only by ``catch_up``.
    """

    def __init__(self, *, index_lags: bool = False) -> None:
        self.items: dict[Place, Item] = {}
        self.results: dict[str, Failures] = {}
        """The result of each transaction that has a token."""
        self._index_lags = index_lags
        self._indexed: dict[Place, Item] = {}
        self.writes = 0

    def copy(self) -> MemoryStore:
        """Returns a store with the same items."""
        twin = MemoryStore(index_lags=self._index_lags)
        twin.items, twin._indexed, twin.results = dict(self.items), dict(self._indexed), dict(self.results)
        return twin

    def catch_up(self) -> None:
        """Brings the global indexes up to date."""
        self._indexed = dict(self.items)

    def steps(self, operation: StoreOperation) -> Generator[object, None, Any]:
        """Executes an operation and returns its result; yields where other operations may be executed."""
        match operation:
            case Get(table, key):
                return self.items.get(_place(table, key))
            case Query():
                return (yield from self._query(operation))
            case Scan():
                return (yield from self._scan(operation))
            case Transact(actions, token):
                if token not in self.results:
                    failures = self._transact(actions)
                    if not token:
                        return failures
                    self.results[token] = failures
                return self.results[token]

    def _query(self, query: Query) -> Generator[object, None, list[Item]]:
        found: list[Item] = []
        last = () if query.after is None else _position(query, query.after)
        while following := self._following(query, last):
            writes = self.writes
            for last, item in following:  # noqa: B007 (used after the loop)
                found.append(_needed(item, query))
                yield item
                if len(found) == query.limit:
                    return found
                if self.writes != writes:
                    break
            else:
                break
        return found

    def _following(self, query: Query, last: tuple[bytes, ...]) -> list[tuple[tuple[bytes, ...], Item]]:
        """Returns the items of a query after a position, each with its position, in the order of the query."""
        items = self._partition(query)
        if query.is_descending:
            return [(position, item) for position, item in reversed(items) if not last or position < last]
        return [(position, item) for position, item in items if position > last]

    def _scan(self, scan: Scan) -> Generator[object, None, Page]:
        found: list[Item] = []
        last = None if scan.after is None else _place(scan.table, scan.after)
        while len(found) < scan.limit:
            following = min((place for place in self.items if self._is_ahead(place, scan, last)), default=None)
            if following is None:
                return Page(tuple(found), None)
            last = following
            found.append(self.items[last])
            yield found[-1]
        return Page(tuple(found), scan.table.key_of(found[-1]))

    @staticmethod
    def _is_ahead(place: Place, scan: Scan, last: Place | None) -> bool:
        of_partition = scan.partition is None or place[1] == scan.partition.encode()
        return place[0] == scan.table.name and of_partition and (last is None or place > last)

    def _partition(self, query: Query) -> list[tuple[tuple[bytes, ...], Item]]:
        """Returns the items of a query, each with its position, in key order."""
        keys = query.secondary_index or query.table
        prefix = query.prefix.encode()
        return sorted(
            (
                (_position(query, item), item)
                for place, item in self._view(query.secondary_index).items()
                if place[0] == query.table.name
                and item[keys.partition_key] == query.partition
                and _text(item, keys.sort_key).startswith(prefix)
            ),
            key=lambda entry: entry[0],
        )

    def _view(self, index: Index | None) -> dict[Place, Item]:
        lags = self._index_lags and index is not None and index.scope == "global"
        return self._indexed if lags else self.items

    def _transact(self, actions: tuple[Action, ...]) -> Failures:
        places = [_place(action.table, _key(action)) for action in actions]
        assert len(actions) <= MAX_TRANSACT_ACTIONS
        assert len(set(places)) == len(places), "one action for an item (AWS, TransactWriteItems)"
        failures = {
            number: self.items.get(place)
            for number, (place, action) in enumerate(zip(places, actions, strict=True))
            if action.condition is not None and not holds(action.condition, self.items.get(place))
        }
        if not failures:
            self.writes += 1
            for place, action in zip(places, actions, strict=True):
                self._apply(place, action)
        return failures

    def _apply(self, place: Place, action: Action) -> None:
        match action:
            case Put(item=item):
                self.items[place] = dict(item)
            case Delete():
                self.items.pop(place, None)
            case Check():
                pass


class MemoryConfig(NamedTuple):
    """The configuration of an in-memory model; every engine that it opens has a store of its own."""

    deadline: float = DEFAULT_DEADLINE

    @property
    def location(self) -> str:
        """Memory."""
        return "memory"

    def open_engine(self, tables: Sequence[Table]) -> MemoryEngine:
        """Returns an engine for threads."""
        del tables
        return MemoryEngine(deadline=self.deadline)

    def open_async_engine(self, tables: Sequence[Table]) -> AsyncMemoryEngine:
        """Returns an engine for asyncio."""
        del tables
        return AsyncMemoryEngine(deadline=self.deadline)


class MemoryEngine:
    """A sync engine over the model."""

    attempt_seconds = 0.0

    def __init__(self, store: MemoryStore | None = None, *, deadline: float = DEFAULT_DEADLINE) -> None:
        self.store = store or MemoryStore()
        self.config = MemoryConfig(deadline=deadline)

    def prepare(self) -> None:
        """Nothing to load."""

    def administration(self) -> Administration:
        """Not available: the model has no tables to administer."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to close."""

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation at once."""
        del deadline
        return drive(self.store.steps(operation), lambda _: None)


class AsyncMemoryEngine:
    """The model as an async engine: other tasks may run between the steps of an operation."""

    attempt_seconds = 0.0

    def __init__(self, store: MemoryStore | None = None, *, deadline: float = DEFAULT_DEADLINE) -> None:
        self.store = store or MemoryStore()
        self.config = MemoryConfig(deadline=deadline)

    async def prepare(self) -> None:
        """Nothing to load."""

    def queue(self) -> None:
        """Calls never wait."""

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation; other tasks may run between its steps."""
        del deadline
        return await drive_async(self.store.steps(operation), lambda _: asyncio.sleep(0))

    async def aclose(self) -> None:
        """Nothing to close."""


def holds(condition: Condition, item: Item | None) -> bool:
    """Returns whether a condition holds of an item."""
    value = {} if item is None else item
    match condition:
        case Missing(attribute):
            return attribute not in value
        case Equal(attribute, expected):
            return attribute in value and value[attribute] == expected
        case Below(attribute, digits):
            return attribute in value and int(value[attribute]) < int(digits)
        case AtLeast(attribute, digits):
            return attribute in value and int(value[attribute]) >= int(digits)
        case AllOf(conditions):
            return all(holds(part, item) for part in conditions)
        case AnyOf(conditions):
            return any(holds(part, item) for part in conditions)


def _needed(item: Item, query: Query) -> Item:
    """Returns the requested attributes of an item and no others, so that no pattern relies on others."""
    if query.attributes is None:
        return item
    return {name: item[name] for name in query.attributes if name in item}


def _key(action: Action) -> Key:
    return action.table.key_of(action.item) if isinstance(action, Put) else action.key


def _place(table: Table, key: Key) -> Place:
    return (table.name, key[table.partition_key].encode(), key[table.sort_key].encode())


def _position(query: Query, keys: Item) -> tuple[bytes, ...]:
    """Returns the position of an item in a query, from its keys."""
    table, index = query.table, query.secondary_index
    sort_key = index.sort_key if index else table.sort_key
    return _text(keys, sort_key), _text(keys, table.partition_key), _text(keys, table.sort_key)


def _text(item: Item, attribute: str | None) -> bytes:
    return b"" if attribute is None else str(item[attribute]).encode()
