"""Executes the operations of clients on the store behind a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..core import operations as core
from ..core.deadline import Deadline
from ..engines.broker import messages
from ..engines.broker.client_protocol import wall_clock
from ..engines.broker.operation_messages import Schema, to_answer, to_found
from ..engines.port import Administration, AsyncEngine, KeyInfo, TableInfo, immediate_read
from ..exceptions import BaseError, UnavailableError
from .coherence_driver import Caching
from .error_responses import OwnRefusalError

MAX_AGE: Final = 240.0
"""Seconds by which the clocks of client and broker may differ, with the age of a transaction.

A transaction that is accepted twice, by brokers for which it is this much too old and too new, is 480 seconds older the
second time: DynamoDB still knows its token, for 600 seconds (AWS, TransactWriteItems, ClientRequestToken), and the SQL
stores remember it longer.
"""
PAGE_BYTES: Final = 1_000_000
"""The size of a page of a query, approximately."""
_MAX_PAGE: Final = 2_000
_MIN_PAGE: Final = 2
_ASSUMED_ITEM_BYTES: Final = 1_000
_SAMPLES: Final = 20
_READING: Final = frozenset({"describe", "differences"})


class ServedStore:
    """The store behind a broker.

    Args:
        open_engine: Returns the engine that executes operations; the same one, unless it was closed.
        administration: Returns the administration of the tables; called in a thread.
        tables: The tables.
        allows_administration: Whether clients may create, empty and delete tables.
        clock: Returns the seconds since the epoch.
        caching: Lets clients cache what they read, and all writes of ``engine`` wait for them; None: none may.
        open_reader: Returns an engine for reads without waiting; None for ``open_engine``.

    Attributes:
        waiting: The number of operations that wait for a connection.
        executing: The number of operations that the store executes.
    """

    def __init__(
        self,
        open_engine: Callable[[], AsyncEngine],
        administration: Callable[[], Administration],
        tables: Sequence[core.Table],
        *,
        allows_administration: bool = False,
        clock: Callable[[], float] = wall_clock,
        caching: Caching | None = None,
        open_reader: Callable[[], AsyncEngine] | None = None,
    ) -> None:
        self.waiting = self.executing = 0
        self._open_engine = open_engine
        self._open_reader = open_reader or open_engine
        self.caching = caching
        self.schema = Schema(tables)
        self._administration = administration
        self._allows_administration = allows_administration
        self._clock = clock
        self._item_bytes = dict.fromkeys(self.schema.tables, _ASSUMED_ITEM_BYTES)

    @property
    def engine(self) -> AsyncEngine:
        """The engine, to which the caller refers as long as it uses it."""
        return self._open_engine()

    async def execute(self, request: messages.Request, deadline: Deadline) -> messages.AnswerBody:
        """Executes an operation, and returns the answer.

        Raises:
            BaseError: The store's error; or the operation is not valid, or too old.
        """
        body = request.body
        assert isinstance(body, messages.Get | messages.Query | messages.Scan | messages.Transact)
        operation = self.schema.to_operation(body)
        if isinstance(operation, core.Query):
            return await self._page(operation, deadline)
        if isinstance(operation, core.Transact):
            check_age(request, self._clock())
        return to_answer(operation, await self._perform(operation, deadline))

    @property
    def can_read_now(self) -> bool:
        """Whether the store can read an item without waiting."""
        return immediate_read(self._open_reader()) is not None

    def read_now(self, get: messages.Get) -> messages.Found | None:
        """Reads an item without waiting, and returns the answer; None if that is not possible."""
        read_now = immediate_read(self._open_reader())
        try:
            return None if read_now is None else to_found(read_now(self.schema.to_get(get)))
        except BaseError:
            return None  # It is executed again, and the error is reported then.

    async def administer(self, request: messages.Request, _: Deadline) -> messages.AnswerBody:
        """Creates, deletes, describes, compares or empties a table."""
        body = request.body
        assert isinstance(body, messages.Administer)
        if body.action not in _READING and not self._allows_administration:
            raise OwnRefusalError(
                f"the broker refuses to {body.action} tables: start it with --allow-administration, "
                "or run the command on the store itself",
                code="AdministrationRefused",
            )
        return await asyncio.to_thread(self._administer, body.action, self.schema.table(body.table))

    def describe(self) -> messages.Described:
        """Returns the schema of the tables."""
        return messages.Described(tuple(map(_describe, self.schema.tables.values())))

    async def _page(self, query: core.Query, deadline: Deadline) -> messages.AnswerBody:
        name = query.table.name
        limit = min(query.limit or _MAX_PAGE, page_items(self._item_bytes[name]))
        if query.attributes is not None:
            # The position of the next page needs them.
            query = query._replace(attributes=tuple(dict.fromkeys((*query.attributes, *_keys_of(query)))))
        items = await self._perform(query._replace(limit=limit), deadline)
        if items:
            self._item_bytes[name] = item_bytes(items)
        is_last = len(items) < limit or len(items) == query.limit
        after = None if is_last else {name: str(items[-1][name]) for name in _keys_of(query) if name in items[-1]}
        return to_answer(query, items, after)

    async def _perform(self, operation: core.StoreOperation, deadline: Deadline) -> Any:
        engine = self.engine
        if (waiting := engine.queue()) is not None:
            self.waiting += 1
            try:
                await waiting
            except TimeoutError:
                seconds = deadline.elapsed()
                raise UnavailableError("no connection was free", code="PoolTimeoutError", seconds=seconds) from None
            finally:
                self.waiting -= 1
        self.executing += 1
        try:
            await engine.prepare()
            return await engine.execute(operation, deadline)
        finally:
            self.executing -= 1

    def _administer(self, action: messages.TableAction, table: core.Table) -> messages.Administered:
        administration = self._administration()
        match action:
            case "create":
                administration.create(table)
            case "delete":
                return messages.Administered(existed=administration.delete(table))
            case "describe":
                info = administration.describe(table)
                return messages.Administered(info=None if info is None else _info(info))
            case "differences":
                return messages.Administered(differences=administration.differences(table))
            case "clear":
                administration.clear(table)
        return messages.Administered()


def check_age(request: messages.Request, now: float) -> None:
    """Refuses a request that was sent too long ago, by the clocks of client and broker."""
    if abs(now - request.sent) > MAX_AGE:
        raise OwnRefusalError(
            f"a request is too old, or the clock of its client differs by more than {MAX_AGE:.0f} s",
            code="RequestExpired",
        )


def page_items(bytes_per_item: int) -> int:
    """Returns the number of items of a page."""
    return max(_MIN_PAGE, min(_MAX_PAGE, PAGE_BYTES // max(1, bytes_per_item)))


def item_bytes(items: Sequence[core.Item]) -> int:
    """Returns the size of an item, approximately: the average of some of the items."""
    samples = items[:: max(1, len(items) // _SAMPLES)]
    return sum(len(str(name)) + len(str(value)) for item in samples for name, value in item.items()) // len(samples)


def _keys_of(query: core.Query) -> tuple[str, ...]:
    """Returns the attributes of a position in a query."""
    table, index = query.table, query.secondary_index
    of_index = (index.partition_key, index.sort_key) if index is not None else ()
    names = (table.partition_key, table.sort_key, *of_index)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _describe(table: core.Table) -> messages.Table:
    indexes = tuple(messages.Index(*index) for index in table.indexes)
    attributes = tuple(messages.Attribute(*attribute) for attribute in table.attributes)
    return messages.Table(table.name, table.partition_key, table.sort_key, indexes, attributes)


def _info(info: TableInfo) -> messages.TableInfo:
    return messages.TableInfo(
        _keys(info.keys), info.status, tuple(map(_keys, info.indexes)), info.items, info.size, dict(info.identity)
    )


def _keys(keys: KeyInfo) -> messages.Keys:
    return messages.Keys(*keys)
