"""The registry of the brokers that may grant caching, and the membership of one broker.

The registry is one item of the store, changed by compare-and-set only: a map from the id of a broker to its address and
whether it is ``out``. A broker that only writes need not be in it.

``Membership`` decides when to read and change the registry and what to conclude. Rules (docs/caching.md, 1 to 3): what
a read shows is as old as its start; a broker that joins waits before it grants, so that every writer has seen it; an id
that is out is dead only when its last membership, and every lease within it, is over on every clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Final, Literal, NamedTuple, TypeAlias

from .leases import Timing


class Entry(NamedTuple):
    """A broker in the registry.

    Attributes:
        address: Where it is reached; several addresses are separated by commas.
        is_out: It must not grant any more, and never will under this id.
    """

    address: str
    is_out: bool = False

    def shares(self, address: str) -> bool:
        """Returns whether it has one of these addresses."""
        return not set(self.address.split(",")).isdisjoint(address.split(","))


Registry: TypeAlias = Mapping[str, Entry]


def joined(registry: Registry, id_: str, address: str, granters: int) -> Registry | None:
    """Returns the registry with a new broker; other entries with an address of it are out. None: there are enough."""
    others = {key: entry._replace(is_out=entry.is_out or entry.shares(address)) for key, entry in registry.items()}
    if sum(not entry.is_out for entry in others.values()) >= granters:
        return None
    return {**others, id_: Entry(address)}


def marked_out(registry: Registry, id_: str) -> Registry | None:
    """Returns the registry with this broker out; None if it is not in."""
    entry = registry.get(id_)
    return None if entry is None or entry.is_out else {**registry, id_: entry._replace(is_out=True)}


def removed(registry: Registry, ids: Collection[str]) -> Registry | None:
    """Returns the registry without these brokers; None if it has none of them."""
    kept = {key: entry for key, entry in registry.items() if key not in ids}
    return None if len(kept) == len(registry) else kept


class ReadRegistry(NamedTuple):
    """Read the registry, linearizable and not before now. Call ``answer_read`` with the result."""

    request: int


class ChangeRegistry(NamedTuple):
    """Replace the registry if it is ``expected``, else do nothing. Call ``answer_change`` with the outcome."""

    request: int
    expected: Registry
    registry: Registry


RegistryEffect: TypeAlias = ReadRegistry | ChangeRegistry


class Outcome(Enum):
    """What a ``ChangeRegistry`` did. ``UNKNOWN``: no answer; it may have, or may yet, be applied."""

    CHANGED = "changed"
    NOT_CHANGED = "not changed"
    UNKNOWN = "unknown"


class _Request(NamedTuple):
    kind: Literal["beat", "confirm", "join", "evict", "remove", "leave"]
    start: float
    registry: Registry
    id: str = ""


_EMPTY: Final[Registry] = {}


class Membership:
    """The state of the registry as one broker has read it, and its own membership.

    Args:
        timing: The durations.
        address: The address of this broker.
        new_id: Returns an id that no broker has had.
        granters: The number of brokers that may grant at once; 0: this one never joins.

    Attributes:
        id: The id under which this broker is registered, if it is.
        view: The newest known contents of the registry; None before the first read.
        effects: Requests to the registry that are to be sent; the owner removes them.
    """

    def __init__(self, timing: Timing, address: str, new_id: Callable[[], str], granters: int) -> None:
        self.id: str | None = None
        self.view: Registry | None = None
        self.effects: list[RegistryEffect] = []
        self._timing, self._address, self._new_id, self._granters = timing, address, new_id, granters
        self._view_start = self._beat_start = self._member_until = self._registered = -math.inf
        self._granting_from = math.inf
        self._join_from = -math.inf
        self._out_since: dict[str, float] = {}
        self._requests: dict[int, _Request] = {}
        self._is_outdated = False
        self._count = 0

    # Queries.

    def lease_left(self, now: float) -> float:
        """Returns for how long this broker is still a member; at most 0 if it is none."""
        return self._member_until - now

    def grants(self, now: float) -> bool:
        """Returns whether a read that begins now may be cached."""
        return self.id is not None and now >= self._granting_from

    def is_view_current(self, now: float) -> bool:
        """Returns whether the view is young enough to acknowledge a write."""
        return self.view is not None and now - self._view_start < self._timing.view

    def is_dead(self, id_: str, now: float) -> bool:
        """Returns whether no client can have a lease of this broker any more."""
        return now - self._out_since.get(id_, math.inf) >= self._timing.death_wait()

    def not_dead(self, now: float) -> list[str]:
        """Returns the brokers of the view whose clients may have leases: a write must invalidate them."""
        return [id_ for id_ in self.view or _EMPTY if not self.is_dead(id_, now)]

    def address_of(self, id_: str) -> str:
        """Returns the address of a broker of the view."""
        return (self.view or _EMPTY)[id_].address

    def next_tick(self) -> float:
        """Returns when ``tick`` is due."""
        return self._beat_start + self._timing.beat

    # Events.

    def tick(self, now: float) -> None:
        """Reads the registry, joins it and removes dead brokers when that is due."""
        if now >= self.next_tick():
            self._read("beat", now)
        if self.view is None or any(request.kind != "beat" for request in self._requests.values()):
            return
        if self.id is None and now >= self._join_from and self._granters:
            self._join(now)
        elif dead := [id_ for id_ in self._out_since if self.is_dead(id_, now)]:
            self._change("remove", removed(self.view, dead), now)

    def need_view(self, now: float) -> None:
        """Reads the registry before the next beat, at most five times per beat: a writer waits for it."""
        if now >= self._beat_start + self._timing.beat / 5:
            self._read("beat", now)

    def evict(self, id_: str, now: float) -> None:
        """Marks another broker as out, if it is not yet and no such change is under way."""
        is_under_way = self._has_request("evict", id_)
        if id_ != self.id and id_ not in self._out_since and self.view is not None and not is_under_way:
            self._change("evict", marked_out(self.view, id_), now, id_)

    def permit_joining(self, granters: int) -> None:
        """Joins from now on, while fewer brokers than this number grant; 0: no longer."""
        self._granters = granters

    def leave(self, now: float) -> None:
        """Removes this broker from the registry, without a wait for others: it has no session any more."""
        if self.id is not None and not self._has_request("leave", self.id):
            self._change("leave", removed(self.view or _EMPTY, [self.id]), now, self.id)

    def answer_read(self, request: int, registry: Registry | None, now: float) -> None:
        """Processes the answer to ``ReadRegistry``; ``registry`` is None if it failed."""
        sent = self._requests.pop(request, None)
        if sent is None or registry is None:
            return
        if sent.kind == "confirm" and sent.id in registry and not registry[sent.id].is_out:
            self._register(sent.id, now)
        self._observe(registry, sent.start, now)

    def answer_change(self, request: int, outcome: Outcome, now: float) -> None:
        """Processes the answer to ``ChangeRegistry``. After the store's timeout the outcome is ``UNKNOWN``."""
        sent = self._requests.pop(request, None)
        if sent is None:
            return
        if outcome is Outcome.CHANGED:
            if sent.kind == "join":
                self._register(sent.id, now)
            self._observe(sent.registry, sent.start, now)
            return
        self._is_outdated = True
        if outcome is Outcome.UNKNOWN and sent.kind == "join":
            self._read("confirm", now, sent.id)
        else:
            self.need_view(now)

    def _has_request(self, kind: str, id_: str) -> bool:
        return any(request.kind == kind and request.id == id_ for request in self._requests.values())

    def _send(self, request: _Request) -> int:
        self._count += 1
        self._requests[self._count] = request
        return self._count

    def _read(self, kind: Literal["beat", "confirm"], now: float, id_: str = "") -> None:
        if kind == "beat":
            self._beat_start = now
            # An older read that is still unanswered is of no use.
            for number in [number for number, sent in self._requests.items() if sent.kind == "beat"][:-3]:
                del self._requests[number]
        self.effects.append(ReadRegistry(self._send(_Request(kind, now, _EMPTY, id_))))

    def _change(
        self, kind: Literal["join", "evict", "remove", "leave"], registry: Registry | None, now: float, id_: str = ""
    ) -> None:
        # After a change that another one preceded, the next would fail too.
        if registry is not None and self.view is not None and not self._is_outdated:
            number = self._send(_Request(kind, now, registry, id_))
            self.effects.append(ChangeRegistry(number, self.view, registry))

    def _join(self, now: float) -> None:
        id_ = self._new_id()
        self._change("join", joined(self.view or _EMPTY, id_, self._address, self._granters), now, id_)

    def _register(self, id_: str, answer: float) -> None:
        # A view without this id began before the answer, so that it is too old for any writer after the wait.
        self.id, self._registered = id_, answer
        self._granting_from = answer + self._timing.join_wait()

    def _observe(self, registry: Registry, start: float, now: float) -> None:
        for id_, entry in registry.items():
            if entry.is_out:
                # Not from the start of the read: the broker's last beat may start after it.
                self._out_since.setdefault(id_, now)
        if self.id is not None:
            own = registry.get(self.id)
            if own is not None and not own.is_out:
                self._member_until = max(self._member_until, start + self._timing.lease)
            elif start >= self._registered:
                self._lose(now)
        if start >= self._view_start:
            self._is_outdated = False
            self.view, self._view_start = registry, start
            self._out_since = {id_: since for id_, since in self._out_since.items() if id_ in registry}

    def _lose(self, now: float) -> None:
        """This broker is out: it joins again, with another id, after a time."""
        self.id, self._granting_from, self._member_until = None, math.inf, -math.inf
        self._join_from = now + self._timing.rejoin
