"""Imports checked entries in batches, each in one transaction if no item differs.

A batch has entries of one user. A latest record is skipped if a batch before had the version that it repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Final

from ..core.operations import DUPLICATE_KEY, Steps
from ..exceptions import ConflictError
from ..model.export_checks import Entry
from ..model.keys import LATEST
from .checksums import digest, user_of
from .import_items import BATCH_ENTRIES, Outcome, import_items

_SHOWN: Final = 20


@dataclass(slots=True)
class Imported:
    """The outcomes of an import.

    Attributes:
        counts: The number of versions and credentials by outcome.
        kept: The first entries that were not imported, because a different item has their key or public key.
    """

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    kept: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry, outcome: Outcome) -> None:
        """Counts an entry; a latest record only if its version was not counted."""
        if outcome is Outcome.SAME and str(entry.item.get("updated_at_id", "")).startswith(f"{LATEST}#"):
            return
        self.counts[outcome] += 1
        if outcome is Outcome.KEPT and len(self.kept) < _SHOWN:
            self.kept.append(entry)


def import_entries(
    entries: Iterable[Entry], run: Callable[[Steps[list[Outcome]]], list[Outcome]], advance: Callable[[int], None]
) -> Imported:
    """Adds checked entries, grouped by user; calls ``advance`` with the size of each batch.

    The memory is proportional to the number of versions of one user.
    """
    imported = Imported()
    for _, group in groupby(entries, user_of):
        stored: set[int] = set()
        while batch := [(digest(entry), entry) for entry in islice(group, BATCH_ENTRIES)]:
            new = [(number, entry) for number, entry in batch if number not in stored]
            outcomes = _import_batch([entry for _, entry in new], run)
            for (number, entry), outcome in zip(new, outcomes, strict=True):
                imported.add(entry, outcome)
                if outcome is not Outcome.KEPT:
                    stored.add(number)
            advance(len(batch))
    return imported


def _import_batch(batch: list[Entry], run: Callable[[Steps[list[Outcome]]], list[Outcome]]) -> list[Outcome]:
    """Adds entries together, or one by one if other credentials have the public key of one of them."""
    if not batch:
        return []
    try:
        return run(import_items(batch))
    except ConflictError as error:
        if error.code != DUPLICATE_KEY:
            raise
    if len(batch) == 1:
        return [Outcome.KEPT]
    return [outcome for entry in batch for outcome in _import_batch([entry], run)]
