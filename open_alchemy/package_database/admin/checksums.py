"""What a store holds, as counts and checksums that do not depend on the order of its items.

A checksum is the sum of the SHA-256 of all items modulo 2^256 (AdHash: Bellare and Micciancio, "A New Paradigm for
Collision-Free Hashing: Incrementality at Reduced Cost", 1997). Unlike an exclusive or, it also counts an item that
comes twice. It finds what was lost, changed or added by accident; somebody who chooses items could make two stores
look the same.

A ``revision`` does not count, for an import may renew it. Neither does how whole a spec is at the source, where version
4 may have left a part of it: what counts is what an import makes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ..core.operations import Get, Item, Page, Scan
from ..model.keys import LATEST
from ..model.schema import CREDENTIALS, SPECS
from ..model.stored_items import Entry, check_stored
from .export_format import encode_entry
from .export_writer import pages
from .import_items import as_version

_MODULUS: Final = 2**256


@dataclass(slots=True)
class Tally:
    """A count and a checksum.

    Attributes:
        items: How many items.
        checksum: The sum of their SHA-256 modulo 2^256.
    """

    items: int = 0
    checksum: int = 0

    def add(self, digest: int) -> None:
        """Counts an item."""
        self.items += 1
        self.checksum = (self.checksum + digest) % _MODULUS

    def __str__(self) -> str:
        return f"{self.items}, checksum {self.checksum:064x}"


@dataclass(slots=True)
class Contents:
    """What a store holds.

    Attributes:
        versions: The versions of specs, also those of which only the latest record is there.
        newest: The newest version of each spec.
        latest: The latest records, each as the version that it stands for. In a store that is whole, as ``newest``.
        credentials: The credentials.
    """

    versions: Tally = field(default_factory=Tally)
    newest: Tally = field(default_factory=Tally)
    latest: Tally = field(default_factory=Tally)
    credentials: Tally = field(default_factory=Tally)


def entries(read: Callable[[Scan], Page]) -> Iterator[Entry]:
    """Yields all items of a store, checked; raises ``RefusedError`` where one could not be imported."""
    for page in pages(read, None, None):
        for entry in page:
            check_stored(entry)
            yield entry


def take(read: Callable[[Scan], Page], get: Callable[[Get], Item | None], advance: Callable[[int], None]) -> Contents:
    """Reads all that a store holds, in memory that grows with the specs of one user only.

    Args:
        read: Reads a page.
        get: Reads an item.
        advance: Is told of each item that was read.
    """
    contents = Contents()
    sub, newest = None, dict[str, tuple[int, int]]()
    for entry in entries(read):
        advance(1)
        if entry.table is CREDENTIALS:
            contents.credentials.add(_digest(entry))
            continue
        if entry.item["sub"] != sub:
            _settle(contents, newest)
            sub = entry.item["sub"]
        _add_record(contents, newest, entry, get)
    _settle(contents, newest)
    return contents


def differences(source: Contents, target: Contents) -> list[str]:
    """Returns in what a store and the one it was copied to differ, in words; empty where they do not."""
    compared = (
        ("versions of specs", source.versions, target.versions),
        ("latest records", source.newest, target.latest),
        ("credentials", source.credentials, target.credentials),
    )
    return [
        f"{name}: {first.items} and {second.items}"
        if first.items != second.items
        else f"{name}: {first.items} in both, but not the same"
        for name, first, second in compared
        if first != second
    ]


def _add_record(
    contents: Contents, newest: dict[str, tuple[int, int]], entry: Entry, get: Callable[[Get], Item | None]
) -> None:
    """Counts a record of a spec.

    Args:
        contents: Where it counts.
        newest: The seconds and the digest of the newest version of each spec of the user, of what was read so far. All
            versions are read before the latest records, for digits come before letters.
        entry: The record.
        get: Reads an item.
    """
    version = Entry(SPECS, as_version(entry.item))
    known, digest = newest.get(str(entry.item["id"])), _digest(version)
    seconds = int(entry.item["updated_at"])
    if str(entry.item["updated_at_id"]).startswith(f"{LATEST}#"):
        contents.latest.add(digest)
        # Where it is older than the newest version, as version 4 may have left it, its version may be there or not.
        is_there = known is not None and (seconds == known[0] or (seconds < known[0] and get(Get(SPECS, version.key))))
        if is_there:
            return
    contents.versions.add(digest)
    if known is None or known[0] < seconds:
        newest[str(entry.item["id"])] = seconds, digest


def _settle(contents: Contents, newest: dict[str, tuple[int, int]]) -> None:
    """Counts the newest versions of a user's specs, and forgets them."""
    for _, digest in newest.values():
        contents.newest.add(digest)
    newest.clear()


def _digest(entry: Entry) -> int:
    """Returns the SHA-256 of an item but for its revision, whatever the order of its attributes is."""
    item = {name: value for name, value in sorted(entry.item.items()) if name != "revision"}
    return int.from_bytes(hashlib.sha256(encode_entry(Entry(entry.table, item))).digest(), "big")
