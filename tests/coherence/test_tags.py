"""A write shares a tag with every read whose result it changes: compared with the store's model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest

from open_alchemy.package_database.coherence.tags import read_key, tags_of_read, tags_of_write
from open_alchemy.package_database.core.operations import (
    Action,
    Attribute,
    Check,
    Delete,
    Get,
    Index,
    Missing,
    Put,
    Query,
    Scan,
    Table,
    Transact,
)
from open_alchemy.package_database.core.runner import drive
from open_alchemy.package_database.testing.memory import MemoryStore

_LOCAL = Index("by-time", "user", "time", "local")
_GLOBAL = Index("by-color", "color", None, "global")
_TABLE, _OTHER = (
    Table(
        name,
        "user",
        "name",
        indexes=(_LOCAL, _GLOBAL),
        attributes=tuple(Attribute(attribute, "S", "") for attribute in ("user", "name", "time", "color")),
    )
    for name in ("one", "two")
)
_KEYS = [{"user": user, "name": name} for user, name in product(("u", "v"), ("a", "ab", "b"))]
_ITEMS = [{**key, "time": time, "color": "red"} for key in _KEYS for time in ("1", "12", "2")]
_READS: list[Get | Query] = [
    *(Get(_TABLE, key) for key in _KEYS),
    *(
        Query(_TABLE, user, prefix=prefix, secondary_index=index, limit=limit)
        for user, index, limit in product(("u", "v"), (None, _LOCAL), (None, 1))
        for prefix in ("", *(("1", "12", "2") if index else ("a", "b")))
    ),
]


def _write(store: MemoryStore, *actions: Action) -> Transact:
    transact = Transact(actions)
    _execute(store, transact)
    return transact


def _execute(store: MemoryStore, operation: Any) -> Any:
    return drive(store.steps(operation), lambda _: None)


def _results(store: MemoryStore) -> list[Any]:
    return [_execute(store, read) for read in _READS]


def _store(items: Sequence[dict[str, str]]) -> MemoryStore:
    store = MemoryStore()
    _write(store, *(Put(_TABLE, item) for item in items))
    return store


_ACTIONS: list[Action] = [*(Put(_TABLE, item) for item in _ITEMS), *(Delete(_TABLE, key) for key in _KEYS)]


@pytest.mark.parametrize("initial", [[], [_ITEMS[0]], [_ITEMS[1], _ITEMS[5], _ITEMS[6]], _ITEMS[::3]])
def test_a_write_invalidates_every_read_that_it_changes(initial: list[dict[str, str]]) -> None:
    changed = 0
    for action in _ACTIONS:
        store = _store(initial)
        before = _results(store)
        written = tags_of_write(_write(store, action))
        for read, old, new in zip(_READS, before, _results(store), strict=True):
            if old != new:
                changed += 1
                assert written & tags_of_read(read)
    assert changed > 50 or not initial


def test_a_write_of_several_items_has_the_tags_of_each() -> None:
    first, second = _ACTIONS[0], _ACTIONS[-1]

    assert tags_of_write(Transact((first, second))) == tags_of_write(Transact((first,))) | tags_of_write(
        Transact((second,))
    )


def test_other_partitions_and_tables_stay_cached() -> None:
    written = tags_of_write(Transact((Put(_TABLE, _ITEMS[0]),)))

    assert not written & tags_of_read(Query(_TABLE, "v"))
    assert not written & tags_of_read(Query(_OTHER, "u"))
    assert not written & tags_of_read(Get(_TABLE, _KEYS[1]))
    assert not written & tags_of_read(Get(_OTHER, _KEYS[0]))


def test_a_check_changes_nothing() -> None:
    assert not tags_of_write(Transact((Check(_TABLE, _KEYS[0], Missing("user")),)))


def test_a_lagging_index_and_a_scan_are_never_cached() -> None:
    assert not tags_of_read(Query(_TABLE, "red", secondary_index=_GLOBAL))
    assert not tags_of_read(Scan(_TABLE, 10))
    assert not tags_of_write(Scan(_TABLE, 10))


def test_different_reads_have_different_keys() -> None:
    after = Query(_TABLE, "u", after={"user": "u", "name": "a"})
    reads = [*_READS, after, after._replace(attributes=("name",)), Query(_OTHER, "u"), Get(_OTHER, _KEYS[0])]

    assert len({read_key(read) for read in reads}) == len(reads)
    assert read_key(Get(_TABLE, dict(_KEYS[0]))) == read_key(Get(_TABLE, _KEYS[0]))
