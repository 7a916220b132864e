"""The messages of ``coherence.messages`` as structs: those of sessions, and those between brokers.

``ReadHeader`` and ``AnswerHeader`` are parts of a request and its answer, as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct, structs

from ...coherence import messages as coherence
from ...coherence.messages import Tag, WriteId

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Open(Struct, frozen=True, array_like=True, tag="open"):
    """Begin a session, with the broker ``to`` if given. No answer of the session ``replaces`` is used. No answer."""

    session: Id
    number: Number
    replaces: Id | None = None
    to: Id | None = None


class Renew(Struct, frozen=True, array_like=True, tag="renew"):
    """Request a lease. Answer: ``Lease`` with the id 0, or none."""

    session: Id
    number: Number


class Revoked(Struct, frozen=True, array_like=True, tag="revoked"):
    """The client has processed the ``Revoke`` with the number ``revoke``. No answer."""

    session: Id
    number: Number
    revoke: Number


class Close(Struct, frozen=True, array_like=True, tag="close"):
    """The client no longer uses any answer of this session. No answer."""

    session: Id


class Invalidate(Struct, frozen=True, array_like=True, tag="invalidate"):
    """Between brokers: a write is about to change ``tags``."""

    to: Id
    write: WriteId
    sending: Number
    tags: tuple[Tag, ...]
    reply_to: str


class Invalidated(Struct, frozen=True, array_like=True, tag="invalidated"):
    """Between brokers: no client of the broker ``id`` uses an older answer on the tags of this sending."""

    id: Id
    write: WriteId
    sending: Number


class Waiting(Struct, frozen=True, array_like=True, tag="waiting"):
    """Between brokers: the broker ``id`` is alive and waits for its clients."""

    id: Id
    write: WriteId


class Done(Struct, frozen=True, array_like=True, tag="done"):
    """Between brokers: the write is over."""

    to: Id
    write: WriteId


class Lease(Struct, frozen=True, array_like=True, tag="lease"):
    """The answer to the ``Renew`` with the number ``renew``."""

    session: str
    number: int
    renew: int
    seconds: float


class Revoke(Struct, frozen=True, array_like=True, tag="revoke"):
    """Drop the entries on these tags, and answer ``Revoked``."""

    session: str
    number: int
    tags: tuple[Tag, ...]


class Ended(Struct, frozen=True, array_like=True, tag="ended"):
    """The broker does not have this session, or has ended it."""

    session: str


SessionRequest: TypeAlias = Open | Renew | Revoked | Close
BetweenBrokers: TypeAlias = Invalidate | Invalidated | Waiting | Done
SessionAnswer: TypeAlias = Lease | Revoke | Ended

_STRUCTS: Final[tuple[type[Struct], ...]] = (
    *(Open, Renew, Revoked, Close),
    *(Invalidate, Invalidated, Waiting, Done),
    *(Lease, Revoke, Ended),
)
_TO_STRUCT: Final[Mapping[type, type[Struct]]] = {getattr(coherence, each.__name__): each for each in _STRUCTS}
_FROM_STRUCT: Final[Mapping[type, type]] = {struct: each for each, struct in _TO_STRUCT.items()}


def to_struct(message: tuple[Any, ...]) -> Any:
    """Returns a message of ``coherence`` as a struct."""
    return _TO_STRUCT[type(message)](*message)


def from_struct(struct: Struct) -> Any:
    """Returns a struct as a message of ``coherence``."""
    return _FROM_STRUCT[type(struct)](*structs.astuple(struct))
