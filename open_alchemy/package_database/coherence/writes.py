"""The writes of one broker: when the store may execute them, and when their result may be acknowledged.

Rule 7 of docs/caching.md: a write passes the same check before its store request and after its answer. The check passes
at a moment at which the view of the registry is current, and each broker in it is dead or holds the tags of the write.
Whatever happened between the two checks is irrelevant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, TypeAlias

from .leases import Timing
from .membership import Membership
from .messages import BrokerMessage, Done, Invalidate, Tags, WriteId


class Execute(NamedTuple):
    """Send the request of the write to the store now; call ``answered`` with its result."""

    write: WriteId


class Acknowledge(NamedTuple):
    """Return the result of the write to its caller now."""

    write: WriteId


class ToBroker(NamedTuple):
    """Send a message to the broker at an address; it may get lost."""

    address: str
    message: BrokerMessage


class Phase(Enum):
    """What a write waits for: the first check, the store, or the second check."""

    BEFORE = "before"
    STORE = "store"
    AFTER = "after"


class _Round:
    """The ``Invalidate`` messages of a write to one broker.

    Attributes:
        address: The address of the broker.
        sent: When each was sent, by its number.
        holds_from: The sending of the newest that was answered: the broker's hold began later.
        is_awaited: An answer is due.
        heard: When the broker was heard of last, or the first message that it did not answer was sent.
    """

    __slots__ = ("address", "heard", "holds_from", "is_awaited", "sent")

    def __init__(self, address: str) -> None:
        self.address = address
        self.sent: list[float] = []
        self.holds_from = self.heard = -math.inf
        self.is_awaited = False


class _Write:
    __slots__ = ("is_final", "phase", "rounds", "tags")

    def __init__(self, tags: Tags) -> None:
        self.tags = tags
        self.phase = Phase.BEFORE
        self.is_final = True
        self.rounds: dict[str, _Round] = {}


WriteEffect: TypeAlias = ToBroker | Execute | Acknowledge


class Writes:
    """The unfinished writes of one broker.

    Args:
        timing: The durations.
        membership: What this broker knows of the registry.
        process: Unique to this process.
        address: The address of this broker, for answers.

    Attributes:
        effects: What is to be done; the owner removes it. A message may be for this broker itself.
    """

    def __init__(self, timing: Timing, membership: Membership, process: str, address: str) -> None:
        self.effects: list[WriteEffect] = []
        self._timing, self._membership, self._process, self._address = timing, membership, process, address
        self._writes: dict[WriteId, _Write] = {}
        self._count = 0
        self._ticked = -math.inf

    def __len__(self) -> int:
        return len(self._writes)

    def begin(self, tags: Tags, now: float) -> WriteId:
        """Begins a write; ``Execute`` follows when the store may execute it."""
        self._count += 1
        id_ = WriteId(self._process, self._count)
        if not self._writes:
            self._ticked = now
        self._writes[id_] = _Write(tags)
        self._ensure(id_, now)
        return id_

    def answered(self, id_: WriteId, now: float, *, is_final: bool) -> None:
        """The store answered: it executed the write or refused it. ``Acknowledge`` follows when that may be returned.

        Args:
            id_: The write.
            now: The time.
            is_final: Whether the store will not execute the write later. If not, the holds run out by themselves.
        """
        if (write := self._writes.get(id_)) is not None and write.phase is Phase.STORE:
            write.phase, write.is_final = Phase.AFTER, is_final
            self._ensure(id_, now)

    def abandon(self, id_: WriteId) -> None:
        """The caller gets an error. If the store may still execute the write, the holds run out by themselves."""
        write = self._writes.pop(id_, None)
        if write is not None and write.phase is Phase.BEFORE:
            self._done(id_, write)

    def invalidated(self, id_: WriteId, broker: str, sending: int, now: float) -> None:
        """A broker holds the tags since it received this sending."""
        round_ = self._round(id_, broker)
        if round_ is not None and 0 <= sending < len(round_.sent):
            round_.holds_from = max(round_.holds_from, round_.sent[sending])
            round_.is_awaited, round_.heard = not self._is_held(round_, now), now
            self._ensure(id_, now)

    def waiting(self, id_: WriteId, broker: str, now: float) -> None:
        """A broker is alive and waits for its clients."""
        if (round_ := self._round(id_, broker)) is not None:
            round_.heard = now

    def tick(self, now: float) -> None:
        """Repeats messages, evicts silent brokers and finishes what waited for the time."""
        if now - self._ticked > self._timing.silence / 2:
            # This process was stopped: the silence may be its own.
            for write in self._writes.values():
                for round_ in write.rounds.values():
                    round_.heard = now
        self._ticked = now
        for id_ in list(self._writes):
            self._ensure(id_, now)

    def _round(self, id_: WriteId, broker: str) -> _Round | None:
        write = self._writes.get(id_)
        return None if write is None else write.rounds.get(broker)

    def _ensure(self, id_: WriteId, now: float) -> None:
        """Continues a write if its check passes; otherwise requests what is missing."""
        write = self._writes.get(id_)
        if write is None or write.phase is Phase.STORE:
            return
        missing = self._missing(write, now)
        if write.tags and not self._membership.is_view_current(now):
            self._membership.need_view(now)
        elif not missing:
            self._continue(id_, write)
            return
        self._request(id_, write, missing, now)

    def _continue(self, id_: WriteId, write: _Write) -> None:
        if write.phase is Phase.BEFORE:
            write.phase = Phase.STORE
            self.effects.append(Execute(id_))
        else:
            del self._writes[id_]
            self.effects.append(Acknowledge(id_))
            if write.is_final:
                self._done(id_, write)

    def _missing(self, write: _Write, now: float) -> list[str]:
        """Returns the brokers of the view that are neither dead nor surely hold the tags."""
        if not write.tags:
            return []
        return [id_ for id_ in self._membership.not_dead(now) if not self._is_held(write.rounds.get(id_), now)]

    def _is_held(self, round_: _Round | None, now: float) -> bool:
        return round_ is not None and now - round_.holds_from < self._timing.hold_in_force()

    def _request(self, id_: WriteId, write: _Write, brokers: Iterable[str], now: float) -> None:
        for broker in brokers:
            round_ = write.rounds.get(broker)
            if round_ is None:
                round_ = write.rounds[broker] = _Round(self._membership.address_of(broker))
            if not round_.is_awaited:
                round_.is_awaited, round_.heard = True, now
                self._invalidate(id_, write, broker, round_, now)
            elif now - max(round_.heard, round_.sent[-1]) >= self._timing.silence / 2:
                self._invalidate(id_, write, broker, round_, now)
            if now - round_.heard >= self._timing.silence:
                self._membership.evict(broker, now)

    def _invalidate(self, id_: WriteId, write: _Write, broker: str, round_: _Round, now: float) -> None:
        round_.sent.append(now)
        message = Invalidate(broker, id_, len(round_.sent) - 1, tuple(write.tags), self._address)
        self.effects.append(ToBroker(round_.address, message))

    def _done(self, id_: WriteId, write: _Write) -> None:
        self.effects += [ToBroker(round_.address, Done(broker, id_)) for broker, round_ in write.rounds.items()]
