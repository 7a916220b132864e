"""The invariants of the data model, checked on a store's items."""

from __future__ import annotations

from collections import defaultdict

from open_alchemy.package_database.core.operations import Item
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import MemoryStore

_SORT_KEYS = ("updated_at_id", "id_updated_at")


def versions_of(store: MemoryStore, sub: str, id_: str) -> list[Item]:
    """Returns a spec's version records, oldest first."""
    return [record for record in _records(store)[sub, id_] if not _is_latest(record)]


def check_specs(store: MemoryStore) -> None:
    """Checks invariants 1 and 2 of every spec, and that every record's keys say what its attributes say."""
    for (_, id_), records in _records(store).items():
        latest = [record for record in records if _is_latest(record)]
        versions = [record for record in records if not _is_latest(record)]
        assert latest, f"version records without a latest record: {versions}"
        assert versions, f"a latest record without version records: {latest}"
        assert _content(latest[0]) == _content(versions[-1])
        times = [int(record["updated_at"]) for record in versions]
        assert times == sorted(set(times))
        for record, time in zip(versions, times, strict=True):
            assert record["updated_at_id"] == f"{time:020}#{id_}"
            assert record["id_updated_at"] == f"{id_}#{time:020}"


def _records(store: MemoryStore) -> dict[tuple[object, object], list[Item]]:
    records: dict[tuple[object, object], list[Item]] = defaultdict(list)
    for place, item in sorted(store.items.items()):
        if place[0] == SPECS.name:
            records[item["sub"], item["id"]].append(item)
    return records


def _is_latest(record: Item) -> bool:
    return str(record["updated_at_id"]).startswith("latest#")


def _content(record: Item) -> Item:
    return {name: value for name, value in record.items() if name not in _SORT_KEYS}
