"""Adds items from an export or another store, while other clients write; stored items are not changed.

A transaction that adds a version of a spec also writes its latest record with a new revision, as ``create_update_spec``
does. So the latest record always equals the newest version, and a concurrent delete fails its condition and retries.
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
from ..model.export_checks import Entry
from ..model.keys import LATEST, padded, record_keys
from ..model.schema import SPECS
from ..model.spec_records import unchanged_since
from ..model.validation import item_size

BATCH_ENTRIES: Final = MAX_TRANSACT_ACTIONS // 3
"""Entries in one transaction: each may also need puts of the latest record and of the newest version."""

ItemKey: TypeAlias = tuple[str, str, str]
"""The name of a table, the partition key and the sort key of an item."""


class Outcome(Enum):
    """The result for an entry."""

    NEW = "added"
    """It was added."""
    SAME = "already stored"
    """An equal item is stored; only the revision may differ."""
    KEPT = "different (not changed)"
    """A different item has its key or its public key, and was not changed."""


@dataclass(frozen=True, slots=True)
class _Record:
    """An item to add: credentials, or the version record of a spec.

    Attributes:
        number: The position of its entry.
        table: Its table.
        item: The item.
    """

    number: int
    table: Table
    item: Item

    @property
    def key(self) -> ItemKey:
        return _key(self.table, self.item)

    @property
    def latest_key(self) -> ItemKey | None:
        """The key of the latest record of its spec; None for credentials."""
        return _key(SPECS, _as_latest(self.item)) if self.table is SPECS else None


def import_items(entries: Sequence[Entry]) -> Steps[list[Outcome]]:
    """Adds checked entries, and returns the outcome of each.

    A latest record is added as the version that it repeats; the latest record is derived from it.
    """
    outcomes: dict[int, Outcome] = {}
    pending: dict[ItemKey, _Record] = {}
    for number, entry in enumerate(entries):
        record = _Record(number, entry.table, as_version(entry.item) if entry.table is SPECS else entry.item)
        if record.key in pending:
            outcomes[number] = _compare(pending[record.key].item, record.item)
        else:
            pending[record.key] = record

    latest: dict[ItemKey, Item] = {}
    conflicts = 0
    while pending:
        if conflicts > 1:
            yield Backoff(conflicts - 2)
        batch = _next_batch(pending.values(), latest)
        stamp: Stamped = yield Stamp()
        puts = _puts(batch, latest, stamp.revision)
        failures: Failures = yield Transact(tuple(puts.values()))
        if failures:
            done = _evaluate_failures(puts, failures, pending, latest)
        else:
            done = {record.number: Outcome.NEW for record in batch}
        conflicts = 0 if done else conflicts + 1
        outcomes |= done
        pending = {key: record for key, record in pending.items() if record.number not in done}
    return [outcomes[number] for number in range(len(entries))]


def _next_batch(pending: Iterable[_Record], latest: Mapping[ItemKey, Item]) -> list[_Record]:
    """Returns the first records of one user that fit into one transaction, together with their latest records."""
    batch: list[_Record] = []
    remaining_bytes = MAX_TRANSACT_BYTES
    for record in pending:
        if batch and record.item["sub"] != batch[0].item["sub"]:
            continue
        stored = latest.get(record.latest_key, {}) if record.latest_key else {}
        remaining_bytes -= 2 * (item_size(record.item) + item_size(stored))
        if batch and (remaining_bytes < 0 or len(batch) == BATCH_ENTRIES):
            break
        batch.append(record)
    return batch


def _puts(batch: Sequence[_Record], latest: Mapping[ItemKey, Item], revision: str) -> dict[ItemKey, Put]:
    """Returns the puts of the records, each on condition that its key is free, and of their latest records."""
    puts = {record.key: Put(record.table, record.item, Missing("sub")) for record in batch}
    newest: dict[ItemKey, Item] = {}
    for record in batch:
        key = record.latest_key
        if key is not None and (key not in newest or _seconds(newest[key]) < _seconds(record.item)):
            newest[key] = record.item
    for key, version in newest.items():
        stored = latest.get(key)
        if stored is None or _seconds(stored) < _seconds(version):
            newer = AnyOf((Missing("sub"), Below("updated_at", str(version["updated_at"]))))
            puts[key] = Put(SPECS, _as_latest(version), newer)
        else:
            # An older version is added. A new revision of the newest one makes a concurrent delete fail its condition.
            renewed = {**stored, "revision": revision}
            puts[key] = Put(SPECS, renewed, unchanged_since(stored))
            again = as_version(renewed)
            puts[_key(SPECS, again)] = Put(SPECS, again)
    return puts


def _evaluate_failures(
    puts: Iterable[ItemKey], failures: Failures, pending: Mapping[ItemKey, _Record], latest: dict[ItemKey, Item]
) -> dict[int, Outcome]:
    """Updates ``latest`` from the old items of failed conditions, and returns the outcomes that follow from them."""
    done: dict[int, Outcome] = {}
    for number, key in enumerate(puts):
        if number not in failures:
            continue
        old = failures[number]
        if old is None:
            # The spec was deleted since its latest record was read.
            latest.pop(key, None)
        elif key in pending:
            done[pending[key].number] = _compare(old, pending[key].item)
        else:
            latest[key] = old
            # Version 4 may have stored it without its version record.
            version = as_version(old)
            repeated = pending.get(_key(SPECS, version))
            if repeated is not None:
                done[repeated.number] = _compare(version, repeated.item)
    return done


def _key(table: Table, item: Item) -> ItemKey:
    return table.name, str(item[table.partition_key]), str(item[table.sort_key])


def as_version(record: Item) -> Item:
    """Returns the version record that a latest record repeats; a version record is returned unchanged."""
    return {**record, **record_keys(padded(str(record["updated_at"])), str(record["id"]))}


def _as_latest(record: Item) -> Item:
    return {**record, **record_keys(LATEST, str(record["id"]))}


def _seconds(record: Item) -> int:
    return int(record["updated_at"])


def _compare(stored: Item, given: Item) -> Outcome:
    stored, given = ({**item, "revision": ""} for item in (stored, given))
    return Outcome.SAME if stored == given else Outcome.KEPT
