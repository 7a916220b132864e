"""Imports checked entries in batches, each in one transaction for each user if no item differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ..core.operations import DUPLICATE_KEY, Steps
from ..exceptions import ConflictError
from ..model.keys import LATEST
from ..model.stored_items import Entry
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
    """Adds checked entries, in bounded memory; calls ``advance`` with the size of each batch."""
    imported = Imported()
    rest = iter(entries)
    while batch := list(islice(rest, BATCH_ENTRIES)):
        for entry, outcome in zip(batch, _import_batch(batch, run), strict=True):
            imported.add(entry, outcome)
        advance(len(batch))
    return imported


def _import_batch(batch: list[Entry], run: Callable[[Steps[list[Outcome]]], list[Outcome]]) -> list[Outcome]:
    """Adds entries together, or one by one if other credentials have the public key of one of them."""
    try:
        return run(import_items(batch))
    except ConflictError as error:
        if error.code != DUPLICATE_KEY:
            raise
    if len(batch) == 1:
        return [Outcome.KEPT]
    return [outcome for entry in batch for outcome in _import_batch([entry], run)]
