"""The results of reads in the memory of a client: ``coherence.cache`` for operations, and its session with a broker.

A result is used without a message, from any thread. Everything else happens in the event loop of the connection.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec.msgpack import Decoder, Encoder

from ...coherence import leases
from ...coherence.cache import CachedRead, CacheInfo, ClientCache
from ...coherence.dependency_recording import NOT_CACHEABLE, Dependency, is_recording, report
from ...coherence.leases import Instant, Timing
from ...coherence.messages import AnswerHeader, ClientMessage, Lease, ReadHeader
from ...coherence.tags import read_key, tags_of_read
from ...core.operations import Get, Item, Items, Operation, Query, StoreOperation
from ...core.secret import Secret
from .. import fork
from ..port import NOT_CACHED
from . import messages
from .cache_clock import instant
from .cache_messages import SessionAnswer, from_struct, to_struct
from .client_protocol import Requests, next_page
from .config import CacheOptions
from .operation_messages import from_item

if TYPE_CHECKING:
    from .granting_brokers import FoundGranter

_LEASE_SECONDS: Final = 1.5
"""After this time without a lease the client looks for another broker."""
_SEARCH_SECONDS: Final = 0.5
"""After this time a client looks again for a broker that lets it cache."""
_ENCODER: Final = Encoder()
_DECODER: Final = Decoder()
"""Without a type: that takes half of the time."""


class Reading:
    """The reads of one operation that is not cached, in the order of their requests.

    Args:
        cache: The cache.
        is_delayed: Returns whether a request is not sent at once. Its answer is not cached: a later message of the
            session would overtake it.
    """

    def __init__(self, cache: ReadCache, is_delayed: Callable[[], bool]) -> None:
        self._cache = cache
        self._is_delayed = is_delayed
        self._headers: list[ReadHeader | None] = []
        self._is_recording = is_recording()

    def begin(self, operation: StoreOperation, broker: int) -> ReadHeader | None:
        """Returns the header of a request."""
        is_tracked = self._is_recording
        header = None if self._is_delayed() else self._cache.begin(operation, broker, is_tracked=is_tracked)
        if self._is_recording:
            self._headers.append(header)
        return header

    def finish(self) -> None:
        """Reports the reads to ``cached``."""
        if self._is_recording:
            report([self._cache.dependency(self._cache.take_read(header)) for header in self._headers])


class _Valid:
    """A dependency: the entry is still valid."""

    __slots__ = ("_cache", "_read")

    def __init__(self, cache: ReadCache, read: CachedRead) -> None:
        self._cache, self._read = cache, read

    def is_valid(self) -> bool:
        return self._cache.is_valid(self._read)


class ReadCache:
    """The cache of one client in one event loop.

    Args:
        options: What may be cached.
        requests: The requests of the client.
        send: Sends a message to the broker at a position.
        find: Returns a broker that lets the client cache; None if there is none.
        timing: The durations of the protocol; None for ``leases.DEFAULT``.
        now: Returns the time.

    Attributes:
        loop: The event loop.
    """

    def __init__(
        self,
        options: CacheOptions,
        requests: Requests,
        send: Callable[[int, Any], None],
        find: Callable[[], Awaitable[FoundGranter | None]],
        *,
        timing: Timing | None = None,
        now: Callable[[], Instant] = instant,
    ) -> None:
        self._requests, self._send_to, self._find_granter, self._now = requests, send, find, now
        self._cache = ClientCache(
            timing or leases.DEFAULT, lambda: secrets.token_hex(16), options.max_entries, options.tables
        )
        self._lock = threading.Lock()
        fork.register(self)
        self._broker: int | None = None
        self._leased = 0.0
        self._is_leased = False
        self._search: asyncio.Future[None] | None = None
        self._tracked: dict[ReadHeader, CachedRead | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return repr(self._cache)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Drops all results: the child receives no revocation. A thread of the parent may hold the lock."""
        self._lock = threading.Lock()
        self._cache.disconnected()

    # From any thread.

    def find(self, operation: Operation) -> Any:
        """Returns the result of an operation, if it is in memory, and reports it to ``cached``; see ``CachedReads``."""
        if isinstance(operation, Get):
            key = read_key(operation)
            with self._lock:
                read = self._cache.lookup(key, self._now())
            if read is None:
                return NOT_CACHED
            if is_recording():
                report((_Valid(self, read),))
            return _unpack(read.value)
        return self._find_pages(operation) if isinstance(operation, Query) else NOT_CACHED

    def is_valid(self, read: CachedRead) -> bool:
        """Returns whether a read that begins now would return this result."""
        with self._lock:
            return self._cache.is_valid(read, self._now())

    def info(self) -> CacheInfo:
        """Returns the figures of the cache."""
        with self._lock:
            return self._cache.info()

    def dependency(self, read: CachedRead | None) -> Dependency:
        """Returns what a computation depends on that has used an entry, or a result that is none."""
        return NOT_CACHEABLE if read is None else _Valid(self, read)

    def _find_pages(self, query: Query) -> Any:
        reads: list[CachedRead] = []
        with self._lock:
            now, page, found = self._now(), query, 0
            while True:
                read = self._cache.lookup(read_key(page), now)
                if read is None:
                    return NOT_CACHED
                reads.append(read)
                found += len(read.value.items)
                if read.value.after is None:
                    break
                page = next_page(query, found, read.value.after)
            items = _join(reads)
        if is_recording():
            report(_Valid(self, read) for read in reads)
        return items

    # In the event loop.

    def begin(self, operation: StoreOperation, broker: int, *, is_tracked: bool) -> ReadHeader | None:
        """Returns the header of a request, which is sent to the broker before anything else.

        Args:
            operation: The operation.
            broker: The position of the broker.
            is_tracked: Whether ``take_read`` follows.
        """
        if not isinstance(operation, Get | Query):
            return None
        if self._search is None:
            self._look_for_broker()
        if broker != self._broker:
            return None
        with self._lock:
            header = self._cache.begin_read(read_key(operation), tags_of_read(operation), self._now())
        if is_tracked and header is not None:
            self._tracked[header] = None
        return header

    def take_read(self, header: ReadHeader | None) -> CachedRead | None:
        """Returns the entry of a read; None if its answer was not cacheable."""
        return None if header is None else self._tracked.pop(header, None)

    def answer(self, header: AnswerHeader, body: messages.AnswerBody) -> None:
        """Stores the answer to a read, if it is cacheable."""
        with self._lock:
            read, reply = self._cache.answer(header, to_value(body))
            self._send(reply)
        sent = ReadHeader(header.session, header.read)
        if sent in self._tracked:
            self._tracked[sent] = read

    def receive(self, body: SessionAnswer) -> None:
        """Processes a message of the session."""
        message = from_struct(body)
        with self._lock:
            if isinstance(message, Lease) and self._broker is not None:
                self._leased = self._now().monotonic
                if not self._is_leased:
                    self._is_leased, self._requests.current = True, self._broker
            self._send(self._cache.receive(message))

    def close(self) -> None:
        """Ends the session."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._search is not None:
                self._search.cancel()
            self._send(self._cache.close())
            self._broker = None

    def _look_for_broker(self) -> None:
        self._search = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        """Begins a session with a broker that lets the client cache, to which all requests go from its lease on."""
        found = await self._find_granter()
        with self._lock:
            now = self._now()
            if found is not None:
                self._broker, self._leased, self._is_leased = found.broker, now.monotonic, False
                self._send(self._cache.connected(now, found.id))
            self._set_timer(now)

    def _set_timer(self, now: Instant) -> None:
        seconds = _SEARCH_SECONDS if self._broker is None else max(0.0, self._cache.next_tick() - now.monotonic)
        self._timer = self.loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        with self._lock:
            now = self._now()
            if not self._has_session(now):
                self._send(self._cache.close())
                self._broker = None
                self._look_for_broker()
                return
            self._send(self._cache.tick(now))
            self._set_timer(now)

    def _has_session(self, now: Instant) -> bool:
        """Returns whether the session may go on: there are leases, and the client uses its broker."""
        if self._broker is not None and now.monotonic - self._leased > _LEASE_SECONDS:
            self._requests.leave(self._requests.current, "the lease")
            return False
        return self._broker is not None and (not self._is_leased or self._broker == self._requests.current)

    def _send(self, to_send: list[ClientMessage]) -> None:
        if self._broker is not None:
            for message in to_send:
                self._send_to(self._broker, to_struct(message))


class _Page:
    """A page of a query. The first one keeps the items of all pages, with the others of which they are."""

    __slots__ = ("after", "items", "whole")

    def __init__(self, items: Items, after: Any) -> None:
        self.items, self.after = items, after
        self.whole: tuple[list[CachedRead], Items] | None = None


def _join(reads: list[CachedRead]) -> Items:
    """Returns the items of all pages."""
    first: _Page = reads[0].value
    if len(reads) == 1:
        return first.items
    if first.whole is None or first.whole[0] != reads[1:]:
        first.whole = reads[1:], Items(item for read in reads for item in read.value.items)
    return first.whole[1]


def _pack(item: messages.Item) -> Secret:
    """Returns an item as bytes, which have a third of the size of its objects."""
    return Secret(_ENCODER.encode(item if item.secrets else item.values))


def _unpack(packed: Secret | None) -> Item | None:
    if packed is None:
        return None
    values = _DECODER.decode(packed)
    return values if type(values) is dict else from_item(messages.Item(*values))


def to_value(body: messages.AnswerBody) -> Any:
    """Returns an answer as it is kept."""
    match body:
        case messages.Found(item):
            return None if item is None else _pack(item)
        case messages.Items(items, after):
            return _Page(Items(map(from_item, items)), after)
    return None
