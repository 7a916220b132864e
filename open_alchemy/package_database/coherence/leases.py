"""The durations of the protocol, the lease of a client and the holds of a broker.

Every point in time is a reading of the owner's own clock. Two clocks differ in rate by at most ``Timing.drift``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from .messages import Tag, Tags, WriteId


class Timing(NamedTuple):
    """The durations of the protocol in seconds.

    Attributes:
        lease: How long a membership and a client's lease last at most.
        drift: The clocks of any two processes advance in a ratio of at most ``1 + drift``.
        view: The greatest age of a view of the registry when a write is acknowledged.
        beat: The time between two reads of the registry.
        renew: The time between two requests for a lease.
        silence: After this time without a message from a broker a writer evicts it.
        patience: With a ``Revoke`` unanswered for this time a client gets no further lease.
        hold: How long an invalidated tag is held.
        rejoin: How long an evicted broker stays out of the registry.
        max_age: The greatest age of a cache entry.
        tick: How often a broker with unfinished work needs a ``tick``.
    """

    lease: float = 2.0
    drift: float = 0.01
    view: float = 2.0
    beat: float = 0.5
    renew: float = 0.5
    silence: float = 0.5
    patience: float = 0.25
    hold: float = 10.0
    rejoin: float = 10.0
    max_age: float = 60.0
    tick: float = 0.02

    def check(self) -> None:
        """Raises ``ValueError`` if the durations contradict each other."""
        if self.drift < 0 or min(self._replace(drift=1)) <= 0:
            raise ValueError("all durations must be above 0, and drift at least 0")
        if self.beat >= min(self.view, self.lease):
            raise ValueError("beat must be below view and lease")
        if self.hold_in_force() <= self.silence + self.death_wait():
            raise ValueError("hold must be longer than the wait for a dead broker")
        if self.rejoin <= self.silence + self.death_wait():
            raise ValueError("rejoin must be longer than the wait for a dead broker")

    def join_wait(self) -> float:
        """Returns how long a broker waits between its registration and its first cacheable answer."""
        return self.view * (1 + self.drift)

    def death_wait(self) -> float:
        """Returns how long after it was known to be out a broker, and all its leases, are over on every clock."""
        return self.lease * (1 + self.drift)

    def hold_in_force(self) -> float:
        """Returns how long after the sending of ``Invalidate`` its hold lasts on every clock."""
        return self.hold / (1 + self.drift)

    def usable(self, seconds: float) -> float:
        """Returns how long a client may use a lease of this length, counted from the sending of its request."""
        return seconds / (1 + self.drift)

    def note_life(self) -> float:
        """Returns after which time no client uses an answer any more."""
        return self.max_age * (1 + self.drift)


DEFAULT: Final = Timing()
"""The durations of every client and broker."""


class Instant(NamedTuple):
    """A point in time of a client, on a monotonic clock that advances during suspend, and on the wall clock."""

    monotonic: float
    wall: float


class ClientLease:
    """The right of a client to use its cache. The wall clock ends it too: the other one stops in a frozen machine."""

    __slots__ = ("_until", "_wall_until")

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """Ends the lease now."""
        self._until = self._wall_until = -math.inf

    def extend(self, requested: Instant, seconds: float) -> None:
        """Extends the lease to a time after its request; a lease that ends later stays as it is."""
        if requested.monotonic + seconds > self._until:
            self._until, self._wall_until = requested.monotonic + seconds, requested.wall + seconds

    def is_valid(self, now: Instant) -> bool:
        """Returns whether the client may use its cache now."""
        return now.monotonic < self._until and now.wall < self._wall_until


class Holds:
    """The tags on which answers are not cacheable, each with the writes that hold it and until when."""

    __slots__ = ("_tags", "_until")

    def __init__(self) -> None:
        self._until: dict[Tag, dict[WriteId, float]] = {}
        self._tags: dict[WriteId, Tags] = {}

    def __len__(self) -> int:
        return len(self._tags)

    def hold(self, write: WriteId, tags: Tags, until: float) -> None:
        """Holds the tags for a write; if it holds them already, until this time."""
        self._tags[write] = tags | self._tags.get(write, frozenset())
        for tag in tags:
            self._until.setdefault(tag, {})[write] = until

    def lift(self, write: WriteId) -> None:
        """Ends the holds of a write, and of no other."""
        for tag in self._tags.pop(write, ()):
            holders = self._until[tag]
            del holders[write]
            if not holders:
                del self._until[tag]

    def clear(self) -> None:
        """Ends all holds."""
        self._until.clear()
        self._tags.clear()

    def is_held(self, tags: Iterable[Tag], now: float) -> bool:
        """Returns whether a write holds one of the tags now."""
        return any(now < until for tag in tags for until in self._until.get(tag, {}).values())

    def expire(self, now: float) -> None:
        """Forgets the holds that are over."""
        over = [write for write, tags in self._tags.items() if all(self._until[tag][write] <= now for tag in tags)]
        for write in over:
            self.lift(write)
