"""The interface between the database and its stores: configuration, engines, and the administration of tables.

A store is a package in this folder whose module ``config`` has ``URLS`` and ``read_url``. Everything else follows from
the ``Config`` that ``read_url`` returns.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ..core.deadline import Deadline
from ..core.operations import Get, Operation, StoreOperation, Table
from ..exceptions import ConfigurationError

Environment: TypeAlias = Mapping[str, str]

DEFAULT_DEADLINE: Final = 5.0


class DatabaseURLError(ConfigurationError):
    """A database URL is invalid. Other errors of ``read_url`` are about the environment."""


class Config(Protocol):
    """The configuration of a store."""

    @property
    def deadline(self) -> float:
        """The deadline of a call in seconds."""

    @property
    def location(self) -> str:
        """Where the store is, for people: a URL without credentials, a region or a path."""

    def open_engine(self, tables: Sequence[Table]) -> Engine:
        """Returns an engine. It loads its driver and opens connections on first use."""

    def open_async_engine(self, tables: Sequence[Table]) -> AsyncEngine:
        """Returns an engine for asyncio. It loads its driver and opens connections on first use."""


class Engine(Protocol):
    """Executes operations on one store, for any number of threads. ``close`` is final."""

    @property
    def config(self) -> Config:
        """The configuration of the store."""

    @property
    def attempt_seconds(self) -> float:
        """How many seconds a request may run that the engine cannot cancel at the deadline; 0 if it can."""

    def prepare(self) -> None:
        """Loads what the first call needs, before the deadline of that call starts.

        Raises:
            ConfigurationError: The store's configuration cannot be read.
            RefusedError: The engine is closed.
        """

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns the result that ``core.operations`` specifies.

        Raises:
            RefusedError: The store refuses, or the engine is closed.
            UnavailableError: The store did not answer before the deadline.
            ConflictError: Other transactions prevented this one until the deadline.
        """

    def administration(self) -> Administration:
        """Returns the administration of the store's tables."""

    def close(self) -> None:
        """Closes all connections; every later call raises ``RefusedError``. May be called again."""


class AsyncEngine(Protocol):
    """Executes operations on one store in any event loop, without blocking it. ``aclose`` is final."""

    @property
    def config(self) -> Config:
        """The configuration of the store."""

    @property
    def attempt_seconds(self) -> float:
        """See ``Engine.attempt_seconds``."""

    async def prepare(self) -> None:
        """See ``Engine.prepare``."""

    def queue(self) -> Awaitable[None] | None:
        """Returns None if a call can start now, otherwise what it must await before it starts.

        A call that waits allocates nothing else, so that ten thousand of them do not stall the event loop.

        Raises:
            TimeoutError: When awaited: the call could not start before its deadline.
        """

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """See ``Engine.execute``."""

    async def aclose(self) -> None:
        """Closes the connections of the running loop; every later call raises ``RefusedError``."""


class ImmediateReads(Protocol):
    """An async engine that can read a local item faster than it can pass the work to a thread."""

    def read_now(self, operation: Get) -> Any:
        """Executes a read without a thread, and returns its result; blocks the loop for a few milliseconds at most.

        Raises:
            UnavailableError: It would take longer, or the engine is not prepared: ``execute`` it.
            RefusedError: See ``Engine.execute``.
        """


class CachedReads(Protocol):
    """An engine that returns the results of repeated reads from memory, and reports each read to ``cached``."""

    def find(self, operation: Operation) -> Any:
        """Returns the result of an operation if a read that begins now would return it, otherwise ``NOT_CACHED``."""


NOT_CACHED: Final = object()
"""What ``CachedReads.find`` returns if the operation must be executed."""


def cached_reads(engine: Engine | AsyncEngine) -> Callable[[Operation], Any] | None:
    """Returns ``find`` of an engine with ``CachedReads``."""
    find: Callable[[Operation], Any] | None = getattr(engine, "find", None)
    return find


def immediate_read(engine: AsyncEngine) -> Callable[[Get], Any] | None:
    """Returns ``read_now`` of an engine with ``ImmediateReads``: isinstance with a protocol is slower than a read."""
    read_now: Callable[[Get], Any] | None = getattr(engine, "read_now", None)
    return read_now


class KeyInfo(NamedTuple):
    """The keys of a table or an index.

    Attributes:
        name: Its name.
        partition_key: The attribute that is its partition key.
        sort_key: The attribute that is its sort key, if it has one.
    """

    name: str
    partition_key: str
    sort_key: str | None


class TableInfo(NamedTuple):
    """A table as it exists in a store.

    Attributes:
        keys: Its name and keys.
        status: ``ACTIVE``, or what DynamoDB reports while it changes the table.
        indexes: Its secondary indexes.
        items: The number of items; DynamoDB updates it every six hours (AWS, DescribeTable, ItemCount).
        size: The size in bytes: of the table on DynamoDB, of the whole file on SQLite.
        identity: Values that distinguish this table from others with its name; on DynamoDB ``TableArn``, which names
            the account and the region, and ``TableId``, which changes when a table is deleted and created again.
    """

    keys: KeyInfo
    status: str
    indexes: tuple[KeyInfo, ...]
    items: int
    size: int
    identity: Mapping[str, str] = MappingProxyType({})


class Administration(Protocol):
    """Creates, describes, empties and deletes the tables of one store. Its methods raise what ``Engine`` raises."""

    def create(self, table: Table) -> None:
        """Creates a table and waits until it can be used."""

    def delete(self, table: Table) -> bool:
        """Deletes a table with all its items; returns False if it did not exist."""

    def describe(self, table: Table) -> TableInfo | None:
        """Returns a table as it exists, or None if it does not exist."""

    def differences(self, table: Table) -> list[str]:
        """Returns how a table differs from the schema, in sentences; empty if it does not."""

    def clear(self, table: Table) -> None:
        """Deletes every item of a table."""


class ShardInfo(NamedTuple):
    """A shard as it exists.

    Attributes:
        shard: Its number.
        server: The name of the server that has it.
        rows: The rows of all its tables.
        size: Their size in bytes.
        moves_to: The target of an unfinished move.
    """

    shard: int
    server: str
    rows: int
    size: int
    moves_to: str | None = None


Progress: TypeAlias = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Shows an operation with its number of items, and yields a function that takes the number of further items."""


class MoveReporter(NamedTuple):
    """How a move of a shard reports.

    Attributes:
        warn: Shows a message.
        progress: Shows the progress of a step.
    """

    warn: Callable[[str], None]
    progress: Progress


@runtime_checkable
class Sharded(Protocol):
    """The administration of a store with shards. Its methods raise what ``Engine`` raises."""

    def shards(self) -> list[ShardInfo]:
        """Returns the shards in the order of their numbers."""

    def move(self, shard: int, target: str, reporter: MoveReporter) -> None:
        """Moves a shard to a server while it is used, or continues an interrupted move.

        Raises:
            ConfigurationError: There is no such shard or server.
        """

    def repair(self) -> int:
        """Deletes the stale entries of the global indexes, and returns their number."""

    def choose_shards(self, shards: int) -> None:
        """Sets the number of shards that ``create`` creates; raises ``ConfigurationError`` if it is not possible."""


def read_deadline(environment: Environment) -> float:
    """Returns the deadline of a call in seconds: ``PACKAGE_DATABASE_DEADLINE``, or 5.

    Raises:
        ConfigurationError: The variable is not a number above 0.
    """
    given = environment.get("PACKAGE_DATABASE_DEADLINE")
    if not given:
        return DEFAULT_DEADLINE
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigurationError(f"PACKAGE_DATABASE_DEADLINE must be a number of seconds above 0, not {given!r}")
    return seconds
