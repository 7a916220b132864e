"""The messages between a client and a broker, and between brokers.

Immutable, of plain values, so that any codec can encode them. Messages between brokers may be lost, delayed, doubled
and reordered. The messages of a session have numbers, counted in each direction from 0; ``Open`` is number 0.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Tag(NamedTuple):
    """A part of the data that a read depends on or a write may change: an item, or a whole partition.

    Attributes:
        table: The name of the table.
        partition: The partition key.
        item: The sort key; None for the partition.
    """

    table: str
    partition: str
    item: str | None = None


Tags: TypeAlias = frozenset[Tag]


class WriteId(NamedTuple):
    """Identifies a write: the process of the writing broker, and a number."""

    writer: str
    number: int


class Invalidate(NamedTuple):
    """A write is about to change ``tags``. Only the broker with the id ``to`` processes it.

    Attributes:
        to: The id of the broker.
        write: The write.
        sending: Counts the sendings of this message to this broker.
        tags: What the write may change.
        reply_to: The address of the writing broker.
    """

    to: str
    write: WriteId
    sending: int
    tags: tuple[Tag, ...]
    reply_to: str


class Invalidated(NamedTuple):
    """No client of the broker ``id`` uses an older answer on the tags of this sending."""

    id: str
    write: WriteId
    sending: int


class Waiting(NamedTuple):
    """The broker ``id`` is alive and waits for its clients."""

    id: str
    write: WriteId


class Done(NamedTuple):
    """The write is over: the broker ``to`` ends its hold."""

    to: str
    write: WriteId


BrokerMessage: TypeAlias = Invalidate | Invalidated | Waiting | Done


class Open(NamedTuple):
    """The client begins a session. It no longer uses any answer of the session ``replaces``.

    Attributes:
        session: The id of the session.
        number: 0.
        replaces: The previous session.
        to: The id of the broker that the client has found; others refuse it. None: any broker may accept it.
    """

    session: str
    number: int
    replaces: str | None
    to: str | None = None


class Renew(NamedTuple):
    """The client requests a lease."""

    session: str
    number: int


class ReadHeader(NamedTuple):
    """Part of a request to read: the answer may be cached if its header permits it."""

    session: str
    number: int


class Revoked(NamedTuple):
    """The client has processed the ``Revoke`` with the number ``revoke``."""

    session: str
    number: int
    revoke: int


class Close(NamedTuple):
    """The client no longer uses any answer of this session. Not numbered."""

    session: str


ClientMessage: TypeAlias = Open | Renew | ReadHeader | Revoked | Close


class Lease(NamedTuple):
    """The answer to the ``Renew`` with the number ``renew``."""

    session: str
    number: int
    renew: int
    seconds: float


class Revoke(NamedTuple):
    """The client must drop its entries on these tags and answer ``Revoked``."""

    session: str
    number: int
    tags: tuple[Tag, ...]


class AnswerHeader(NamedTuple):
    """Part of the answer to the request with the number ``read``."""

    session: str
    number: int
    read: int
    is_cacheable: bool


class Ended(NamedTuple):
    """The broker does not have this session, or has ended it. Not numbered."""

    session: str


SessionMessage: TypeAlias = Lease | Revoke | AnswerHeader | Ended
