"""The cache of one client: its session with a broker, its lease, and the results of its reads.

Fed with time and messages; an owner with threads holds a lock during each call. Every method is one step: looking up an
entry includes the check of the lease and of its age.

The values may contain secrets. They are in memory only, until they are revoked, too old, or evicted, or the session
ends, and in no repr.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .leases import ClientLease, Instant, Timing
from .messages import (
    AnswerHeader,
    ClientMessage,
    Close,
    Ended,
    Lease,
    Open,
    ReadHeader,
    Renew,
    Revoke,
    Revoked,
    Tag,
    Tags,
)

if TYPE_CHECKING:
    from cachetools import LRUCache

_MAX_RENEWALS: Final = 8
"""Requests for a lease that may be unanswered."""


class CachedRead:
    """The result of a read.

    Attributes:
        value: The result.
        key: What was read.
        tags: What it depends on, except its key.
        sent: When the request was sent, on the monotonic clock: its age counts from then.
        sent_wall: The same on the wall clock.
        is_dropped: It must not be used any more.
    """

    __slots__ = ("is_dropped", "key", "sent", "sent_wall", "tags", "value")

    def __init__(self, key: Hashable, tags: Tags, sent: Instant, value: Any) -> None:
        self.key, self.value = key, value
        self.sent, self.sent_wall = sent
        self.tags = tuple(tag for tag in tags if tag != key)
        self.is_dropped = False


class _Request(NamedTuple):
    key: Hashable
    tags: Tags
    sent: Instant


class CacheInfo(NamedTuple):
    """The figures of a cache: lookups with a result, requests, and entries."""

    hits: int
    misses: int
    max_entries: int
    entries: int


class ClientCache:
    """The cache of one client.

    Args:
        timing: The durations; the same in all processes.
        new_id: Returns a unique text.
        max_entries: The maximum number of entries; the least recently used are evicted.
        tables: The names of the tables whose items may be cached; None for all.
    """

    def __init__(
        self, timing: Timing, new_id: Callable[[], str], max_entries: int, tables: frozenset[str] | None = None
    ) -> None:
        self._timing, self._new_id, self._tables = timing, new_id, tables
        self._entries = _Entries(max_entries)
        self._lease = ClientLease()
        self._session: str | None = None
        self._to: str | None = None
        self._received = self._sent = 0
        self._renewals: dict[int, Instant] = {}
        self._reads: dict[int, _Request] = {}
        self._renewed: float | None = None
        self._hits = self._misses = 0

    def __repr__(self) -> str:
        return f"<ClientCache: {len(self._entries)} entries>"

    # Reads.

    def lookup(self, key: Hashable, now: Instant) -> CachedRead | None:
        """Returns the result of an earlier read if it may be used now."""
        read = self._entries.get(key)
        if read is not None and self.is_valid(read, now):
            self._hits += 1
            return read
        return None

    def is_valid(self, read: CachedRead, now: Instant) -> bool:
        """Returns whether the result of a read may be used now."""
        return not read.is_dropped and self._lease.is_valid(now) and self._is_young(read, now)

    def begin_read(self, key: Hashable, tags: Tags, now: Instant) -> ReadHeader | None:
        """Returns the header to send with the request of a read; None if the answer cannot be cached anyway."""
        self._misses += 1
        if self._session is None or not tags or not self._is_permitted(tags):
            return None
        header = ReadHeader(self._session, self._number())
        self._reads[header.number] = _Request(key, tags, now)
        return header

    def answer(self, header: AnswerHeader, value: Any) -> tuple[CachedRead | None, list[ClientMessage]]:
        """Stores the result of a read if its header permits it.

        Call it in the order in which the messages of the session arrive. A result without a header, and one of an
        earlier session, is not cached.

        Returns:
            The entry, if the result is cached, and the messages to send.
        """
        is_next, messages = self._accept(header)
        request = self._reads.pop(header.read, None) if is_next else None
        if request is None:
            return None, messages
        # An answer that is not cacheable may be newer than the entry.
        self._entries.drop(request.key)
        if not header.is_cacheable:
            return None, messages
        read = CachedRead(request.key, request.tags, request.sent, value)
        self._entries.add(read)
        return read, messages

    def info(self) -> CacheInfo:
        """Returns the figures of this cache."""
        return CacheInfo(self._hits, self._misses, self._entries.max_entries, len(self._entries))

    def clear(self) -> None:
        """Drops all entries; the session continues."""
        self._entries.clear()

    # The session.

    def connected(self, now: Instant, to: str | None = None) -> list[ClientMessage]:
        """Begins a session on a new connection, with the broker that has the id ``to``, or with any."""
        self._to = to
        return [*self._reopen(), self._renew(now)]

    def disconnected(self) -> None:
        """Ends the session: its connection is broken, or closed by its owner."""
        self._end()

    def close(self) -> list[ClientMessage]:
        """Ends the session, so that no writer waits for it."""
        session = self._session
        self._end()
        return [] if session is None else [Close(session)]

    def tick(self, now: Instant) -> list[ClientMessage]:
        """Requests a lease when that is due."""
        return [] if self._session is None or now.monotonic < self.next_tick() else [self._renew(now)]

    def next_tick(self) -> float:
        """Returns when ``tick`` is due."""
        return 0.0 if self._renewed is None else self._renewed + self._timing.renew

    def receive(self, message: Lease | Revoke | Ended) -> list[ClientMessage]:
        """Processes a message of the broker, except ``AnswerHeader``: see ``answer``."""
        if isinstance(message, Ended):
            return self._reopen() if message.session == self._session else []
        is_next, messages = self._accept(message)
        if not is_next:
            return messages
        if isinstance(message, Lease):
            self._extend(message)
        else:
            self._entries.revoke(message.tags)
            messages.append(Revoked(message.session, self._number(), message.number))
        return messages

    def _is_permitted(self, tags: Tags) -> bool:
        return self._tables is None or all(tag.table in self._tables for tag in tags)

    def _extend(self, message: Lease) -> None:
        if (requested := self._renewals.pop(message.renew, None)) is not None:
            self._lease.extend(requested, self._timing.usable(message.seconds))
            self._renewals = {number: sent for number, sent in self._renewals.items() if number > message.renew}

    def _is_young(self, read: CachedRead, now: Instant) -> bool:
        # By the wall clock too: the broker forgets what a frozen client has cached.
        max_age = self._timing.max_age
        return now.monotonic - read.sent < max_age and now.wall - read.sent_wall < max_age

    def _accept(self, message: Lease | Revoke | AnswerHeader) -> tuple[bool, list[ClientMessage]]:
        """Returns whether to process a message, and what to send: after a gap another session begins."""
        if message.session != self._session or message.number < self._received:
            return False, []
        if message.number > self._received:
            return False, self._reopen()
        self._received += 1
        return True, []

    def _renew(self, now: Instant) -> ClientMessage:
        assert self._session is not None
        self._renewed = now.monotonic
        number = self._number()
        self._renewals[number] = now
        if len(self._renewals) > _MAX_RENEWALS:
            del self._renewals[min(self._renewals)]
        return Renew(self._session, number)

    def _reopen(self) -> list[ClientMessage]:
        replaced = self._session
        self._end()
        self._session = self._new_id()
        self._received, self._sent = 0, 0
        return [Open(self._session, self._number(), replaced, self._to)]

    def _end(self) -> None:
        """Empties the cache. What still arrives of this session is ignored."""
        self._session = None
        self._lease.end()
        self._entries.clear()
        self._reads.clear()
        self._renewals.clear()

    def _number(self) -> int:
        self._sent += 1
        return self._sent - 1


class _Entries:
    """Cached reads by key and by tag, bounded. A read whose key is its tag (a ``Get``) has no entry by tag."""

    def __init__(self, max_entries: int) -> None:
        # Imported here: the drivers of other stores must not need cachetools.
        from cachetools import LRUCache

        self.max_entries = max_entries
        self._reads: LRUCache[Hashable, CachedRead] = LRUCache(max_entries)
        self._keys: dict[Tag, set[Hashable]] = {}

    def __len__(self) -> int:
        return len(self._reads)

    def get(self, key: Hashable) -> CachedRead | None:
        try:
            return self._reads[key]
        except KeyError:
            return None

    def add(self, read: CachedRead) -> None:
        while len(self._reads) >= self.max_entries:
            self._unlink(self._reads.popitem()[1])
        self._reads[read.key] = read
        for tag in read.tags:
            self._keys.setdefault(tag, set()).add(read.key)

    def drop(self, key: Hashable) -> None:
        if (read := self._reads.pop(key, None)) is not None:
            self._unlink(read)

    def revoke(self, tags: tuple[Tag, ...]) -> None:
        for tag in tags:
            for key in (tag, *self._keys.get(tag, ())):
                self.drop(key)

    def clear(self) -> None:
        for read in self._reads.values():
            read.is_dropped = True
        self._reads.clear()
        self._keys.clear()

    def _unlink(self, read: CachedRead) -> None:
        read.is_dropped = True
        for tag in read.tags:
            keys = self._keys[tag]
            keys.discard(read.key)
            if not keys:
                del self._keys[tag]
