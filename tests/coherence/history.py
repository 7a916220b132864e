"""What the store contained, what was acknowledged, and whether a cached read may return a value."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from open_alchemy.package_database.coherence.tags import read_key, tags_of_read, tags_of_write
from open_alchemy.package_database.core.operations import Get, Put, Query, Transact
from open_alchemy.package_database.model.schema import SPECS

Value = Mapping[str, int]
"""The version of each item that a read returns."""


def _item(name: str) -> dict[str, str]:
    return {"sub": name[0], "updated_at_id": name}


ITEMS = ("a1", "a2", "b1")
"""The items; the first letter is their partition."""
READS: Mapping[Hashable, tuple[Any, Sequence[str]]] = {
    read_key(operation): (tags_of_read(operation), items)
    for operation, items in (
        (Get(SPECS, _item("a1")), ("a1",)),
        (Get(SPECS, _item("b1")), ("b1",)),
        (Query(SPECS, "a"), ("a1", "a2")),
    )
}
"""The tags and the items of each read."""
KEYS = tuple(READS)
WRITES = (("a1",), ("b1",), ("a2",), ("a1", "b1"))
"""The items of each write."""
WRITE_TAGS = tuple(tags_of_write(Transact(tuple(Put(SPECS, _item(name)) for name in names))) for names in WRITES)


class StaleReadError(AssertionError):
    """A cached read returns what it must not."""


class Applied(NamedTuple):
    """A write that the store executed.

    Attributes:
        at: When.
        is_late: The round made for it was no longer in force (R1b does not cover it).
    """

    at: float
    is_late: bool


class History:
    """The versions of the items.

    Attributes:
        applied: The writes of each item.
        acknowledged: The newest acknowledged version of each item.
        changes: Counts what may make a cached read stale.
    """

    def __init__(self, max_age: float) -> None:
        self.applied: dict[str, list[Applied]] = {name: [] for name in ITEMS}
        self.acknowledged = dict.fromkeys(ITEMS, 0)
        self.changes = 0
        self._max_age = max_age

    def apply(self, names: Sequence[str], at: float, *, is_late: bool) -> Value:
        """Executes a write; returns the versions that it makes."""
        self.changes += 1
        for name in names:
            self.applied[name].append(Applied(at, is_late))
        return self.read(names)

    def read(self, names: Sequence[str]) -> Value:
        """Returns the versions now."""
        return {name: len(self.applied[name]) for name in names}

    def acknowledge(self, versions: Value) -> None:
        """The caller of a write has its result."""
        self.changes += 1
        for name, version in versions.items():
            self.acknowledged[name] = max(version, self.acknowledged[name])

    def check(self, value: Value, now: float, reader: str) -> None:
        """Checks what a cached read returns now."""
        for name, version in value.items():
            if version < self.acknowledged[name]:
                raise StaleReadError(
                    f"R1: {reader} reads version {version} of {name}, {self.acknowledged[name]} is acknowledged"
                )
            for applied in self.applied[name][version:]:
                if not applied.is_late:
                    raise StaleReadError(f"R1b: {reader} reads version {version} of {name} after a write in time")
                if now - applied.at > self._max_age:
                    raise StaleReadError(f"P3: {reader} reads version {version} of {name}, too old")
