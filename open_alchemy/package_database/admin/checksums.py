"""Counts and checksums of the data of a store, independent of the order of its items, to compare two stores.

A checksum is the sum of the SHA-256 of all items modulo 2^256 (AdHash: Bellare and Micciancio, "A New Paradigm for
Collision-Free Hashing: Incrementality at Reduced Cost", 1997). Unlike an exclusive or, it detects duplicates. It
detects accidental changes, and does not resist an attacker who chooses the items.

The latest record of a spec counts as the version record that it repeats, so an equal pair counts once. Version 4 left
specs without one of the two records: such a spec and its complete import have the same checksum. The ``revision`` of a
record is ignored, because an import may replace it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from ..core.operations import Page, Scan
from ..model.export_checks import Entry, check_stored
from ..model.schema import CREDENTIALS
from .export_format import encode_entry
from .export_writer import pages
from .import_items import as_version

_MODULUS: Final = 2**256


@dataclass(slots=True)
class ItemsChecksum:
    """A number of items and their checksum."""

    items: int = 0
    checksum: int = 0

    def add(self, digest: int) -> None:
        """Adds an item."""
        self.items += 1
        self.checksum = (self.checksum + digest) % _MODULUS


@dataclass(slots=True)
class StoreChecksum:
    """The checksums of a store.

    Attributes:
        versions: The versions of specs.
        credentials: The credentials.
    """

    versions: ItemsChecksum = field(default_factory=ItemsChecksum)
    credentials: ItemsChecksum = field(default_factory=ItemsChecksum)

    def __str__(self) -> str:
        digest = hashlib.sha256(f"{self.versions.checksum} {self.credentials.checksum}".encode()).hexdigest()
        return f"versions: {self.versions.items}, credentials: {self.credentials.items}, checksum {digest[:16]}"


def entries(read: Callable[[Scan], Page]) -> Iterator[Entry]:
    """Yields all items of a store, grouped by user; raises ``RefusedError`` for an item that cannot be imported."""
    for page in pages(read, None, None):
        for entry in page:
            check_stored(entry)
            yield entry


def compute(read: Callable[[Scan], Page], advance: Callable[[int], None]) -> StoreChecksum:
    """Reads a whole store. The memory is proportional to the number of versions of one user.

    Args:
        read: Reads a page.
        advance: Called with the number of items that were read.
    """
    result = StoreChecksum()
    for (table, _), group in groupby(entries(read), user_of):
        digests = list(map(digest, group))
        advance(len(digests))
        is_credentials = table == CREDENTIALS.name
        for number in digests if is_credentials else set(digests):
            (result.credentials if is_credentials else result.versions).add(number)
    return result


def differences(source: StoreChecksum, target: StoreChecksum) -> list[str]:
    """Returns the differences between two stores as messages."""
    compared = (
        ("versions of specs", source.versions, target.versions),
        ("credentials", source.credentials, target.credentials),
    )
    return [
        f"{name}: {first.items} and {second.items}"
        if first.items != second.items
        else f"{name}: {first.items} in both, with different content"
        for name, first, second in compared
        if first != second
    ]


def user_of(entry: Entry) -> tuple[str, str]:
    """Returns the name of the table and the partition key of an item: a scan groups items by them."""
    return entry.table.name, str(entry.item["sub"])


def digest(entry: Entry) -> int:
    """Returns the SHA-256 of an item without its revision; the order of the attributes does not matter.

    A latest record has that of the version which it repeats.
    """
    item = entry.item if entry.table is CREDENTIALS else as_version(entry.item)
    compared = {name: value for name, value in sorted(item.items()) if name != "revision"}
    return int.from_bytes(hashlib.sha256(encode_entry(Entry(entry.table, compared))).digest(), "big")
