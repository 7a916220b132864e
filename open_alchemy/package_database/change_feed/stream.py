"""What the reader of changes gets, decided from the messages of the brokers. No I/O and no clock.

Each broker has an epoch for the subscription, in which its messages are numbered. A new epoch, a gap in the numbers, or
a broker that no longer answers means that changes may be missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from ..core.operations import Table
from ..engines.broker.messages import Changed, Subscribed

RENEW_SECONDS: Final = 1.0
"""How often a subscription is renewed."""
SILENCE_SECONDS: Final = 3.5
"""After this time without an answer a broker counts as lost."""
MAX_UNREAD: Final = 10_000


class Change(NamedTuple):
    """An item was created, updated or deleted.

    Attributes:
        kind: What was done to the item.
        table: The name of its table.
        key: Its key: the names and values of the table's partition key and sort key.
        revision: The ``revision`` of the item; None if it has none.
    """

    kind: Literal["created", "updated", "deleted"]
    table: str
    key: Mapping[str, str]
    revision: str | None


class Missed(NamedTuple):
    """Changes before this event may be missing: read again what depends on them. The first event is always this."""


Event: TypeAlias = Change | Missed


class _Epoch:
    """The messages of one broker."""

    __slots__ = ("heard", "number")

    def __init__(self, number: int, heard: float) -> None:
        self.number = number
        self.heard = heard


class ChangeStream:
    """The events of one reader.

    Args:
        tables: The tables by name, for the names of their keys.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._epochs: dict[str, _Epoch] = {}
        self._unread: deque[Event] = deque()
        self.is_started = False

    def next(self) -> Event | None:
        """Returns the next event, if there is one."""
        return self._unread.popleft() if self._unread else None

    def receive(self, body: Subscribed | Changed, now: float) -> None:
        """Receives a message of a broker at this time in seconds."""
        epoch = self._epochs.get(body.epoch)
        if isinstance(body, Subscribed):
            self.is_started = True
            if epoch is None:
                self._epochs[body.epoch] = _Epoch(body.number, now)
                self._miss()
                return
            epoch.heard = now
            if body.number > epoch.number:
                epoch.number = body.number
                self._miss()
        elif epoch is not None and body.number > epoch.number:
            if body.number > epoch.number + 1:
                self._miss()
            epoch.number = body.number
            self._add(body)

    def expire(self, now: float) -> None:
        """Forgets the brokers that have not answered for a while."""
        lost = [name for name, epoch in self._epochs.items() if now - epoch.heard > SILENCE_SECONDS]
        for name in lost:
            del self._epochs[name]
            self._miss()

    def _add(self, body: Changed) -> None:
        if len(self._unread) + len(body.changes) > MAX_UNREAD:
            # The reader must read again in any case.
            self._unread.clear()
            self._miss()
            return
        for change in body.changes:
            table = self._tables.get(change.table)
            if table is not None:
                key = {table.partition_key: change.partition, table.sort_key: change.sort}
                self._unread.append(Change(change.kind, change.table, key, change.revision))

    def _miss(self) -> None:
        if not self._unread or not isinstance(self._unread[-1], Missed):
            self._unread.append(Missed())
