"""Putting items that come from elsewhere into the tables, beside whatever is there and whoever writes.

A version of a spec is added by a transaction that also renews the latest record, as publishing does: so a spec's latest
record equals its newest version at every moment, and a delete at the same time notices. What is there stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from ..core.operations import (
    MAX_TRANSACT_ACTIONS,
    MAX_TRANSACT_BYTES,
    AnyOf,
    Backoff,
    Below,
    Failures,
    Item,
    Missing,
    Put,
    Stamp,
    Stamped,
    Steps,
    Table,
    Transact,
)
from ..model.keys import LATEST, padded, record_keys
from ..model.schema import SPECS
from ..model.specs import unchanged_since
from ..model.stored_items import Entry
from ..model.validation import item_size

MAX_TOGETHER: Final = MAX_TRANSACT_ACTIONS // 3
"""Entries that one transaction takes: each may also need a latest record and the newest version's."""

Place: TypeAlias = tuple[str, str, str]
"""A table's name and the two keys."""


class Outcome(Enum):
    """What became of an entry."""

    NEW = "added"
    """It was not there, and was written."""
    SAME = "already stored"
    """The same was there, but perhaps for its revision."""
    KEPT = "different (not changed)"
    """A different item has its key, or its public key, and stays."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What is to be put: credentials, or the version record of a spec."""

    number: int
    table: Table
    item: Item

    @property
    def place(self) -> Place:
        return _place(self.table, self.item)

    @property
    def latest(self) -> Place | None:
        """The place of the latest record of its spec."""
        return _place(SPECS, _as_latest(self.item)) if self.table is SPECS else None


def import_items(entries: Sequence[Entry]) -> Steps[list[Outcome]]:
    """Adds checked entries, and returns what became of each.

    A latest record stands for the version that it names: that version is added, and the latest record follows from it.
    """
    outcomes: dict[int, Outcome] = {}
    pending: dict[Place, _Record] = {}
    for number, entry in enumerate(entries):
        record = _Record(number, entry.table, as_version(entry.item) if entry.table is SPECS else entry.item)
        if record.place in pending:
            outcomes[number] = _compare(pending[record.place].item, record.item)
        else:
            pending[record.place] = record

    latest: dict[Place, Item] = {}
    races = 0
    while pending:
        if races > 1:
            yield Backoff(races - 2)
        chosen = _choose(pending.values(), latest)
        stamp: Stamped = yield Stamp()
        puts = _puts(chosen, latest, stamp.revision)
        failures: Failures = yield Transact(tuple(puts.values()))
        if failures:
            settled = _learn(puts, failures, pending, latest)
        else:
            settled = {record.number: Outcome.NEW for record in chosen}
        races = 0 if settled else races + 1
        outcomes |= settled
        pending = {place: record for place, record in pending.items() if record.number not in settled}
    return [outcomes[number] for number in range(len(entries))]


def _choose(pending: Iterable[_Record], latest: Mapping[Place, Item]) -> list[_Record]:
    """Returns the first records that one transaction takes, with the latest records that they need."""
    chosen: list[_Record] = []
    room = MAX_TRANSACT_BYTES
    for record in pending:
        known = latest.get(record.latest, {}) if record.latest else {}
        room -= 2 * (item_size(record.item) + item_size(known))
        if chosen and (room < 0 or len(chosen) == MAX_TOGETHER):
            break
        chosen.append(record)
    return chosen


def _puts(chosen: Sequence[_Record], latest: Mapping[Place, Item], revision: str) -> dict[Place, Put]:
    """Returns the puts of records that must not be there, and of what keeps the latest records true."""
    puts = {record.place: Put(record.table, record.item, Missing("sub")) for record in chosen}
    newest: dict[Place, Item] = {}
    for record in chosen:
        place = record.latest
        if place is not None and (place not in newest or _seconds(newest[place]) < _seconds(record.item)):
            newest[place] = record.item
    for place, version in newest.items():
        known = latest.get(place)
        if known is None or _seconds(known) < _seconds(version):
            newer = AnyOf((Missing("sub"), Below("updated_at", str(version["updated_at"]))))
            puts[place] = Put(SPECS, _as_latest(version), newer)
        else:
            # An older version is added: the newest is published again, so that a delete at the same time notices.
            renewed = {**known, "revision": revision}
            puts[place] = Put(SPECS, renewed, unchanged_since(known))
            again = as_version(renewed)
            puts[_place(SPECS, again)] = Put(SPECS, again)
    return puts


def _learn(
    puts: Iterable[Place], failures: Failures, pending: Mapping[Place, _Record], latest: dict[Place, Item]
) -> dict[int, Outcome]:
    """Learns from failed conditions what is there: notes latest records, and returns what became of which entries."""
    settled: dict[int, Outcome] = {}
    for number, place in enumerate(puts):
        if number not in failures:
            continue
        old = failures[number]
        if old is None:
            # The latest record that was known is gone: the spec was deleted.
            latest.pop(place, None)
        elif place in pending:
            settled[pending[place].number] = _compare(old, pending[place].item)
        else:
            latest[place] = old
            # Version 4 may have left it without its version record.
            version = as_version(old)
            named = pending.get(_place(SPECS, version))
            if named is not None:
                settled[named.number] = _compare(version, named.item)
    return settled


def _place(table: Table, item: Item) -> Place:
    return table.name, str(item[table.partition_key]), str(item[table.sort_key])


def as_version(record: Item) -> Item:
    """Returns the version record that a record of a spec stands for: itself, or what a latest record names."""
    return {**record, **record_keys(padded(str(record["updated_at"])), str(record["id"]))}


def _as_latest(record: Item) -> Item:
    return {**record, **record_keys(LATEST, str(record["id"]))}


def _seconds(record: Item) -> int:
    return int(record["updated_at"])


def _compare(stored: Item, given: Item) -> Outcome:
    stored, given = ({**item, "revision": ""} for item in (stored, given))
    return Outcome.SAME if stored == given else Outcome.KEPT
