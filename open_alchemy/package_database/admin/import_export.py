"""Importing checked entries: batches of items, one transaction each where nothing is in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ..core.operations import Steps
from ..model.keys import LATEST
from ..model.stored_items import Entry
from .import_items import MAX_TOGETHER, Outcome, import_items

_SHOWN: Final = 20


@dataclass(slots=True)
class Imported:
    """What an import came to.

    Attributes:
        counts: How many versions and credentials came to which outcome.
        kept: The first entries in whose place something else is.
    """

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    kept: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry, outcome: Outcome) -> None:
        """Counts an entry; a latest record only where the version that it stands for was not counted."""
        if outcome is Outcome.SAME and str(entry.item.get("updated_at_id", "")).startswith(f"{LATEST}#"):
            return
        self.counts[outcome] += 1
        if outcome is Outcome.KEPT and len(self.kept) < _SHOWN:
            self.kept.append(entry)


def import_entries(
    entries: Iterable[Entry], run: Callable[[Steps[list[Outcome]]], list[Outcome]], advance: Callable[[int], None]
) -> Imported:
    """Adds checked entries, in bounded memory; ``advance`` is told how many were settled."""
    imported = Imported()
    rest = iter(entries)
    while batch := list(islice(rest, MAX_TOGETHER)):
        for entry, outcome in zip(batch, run(import_items(batch)), strict=True):
            imported.add(entry, outcome)
        advance(len(batch))
    return imported
