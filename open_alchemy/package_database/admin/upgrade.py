"""Upgrades credentials of version 4. Each write is conditional, so runs may be interrupted, repeated or concurrent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum

from ..core.operations import Failures, Item, Key, Page, Scan, Transact
from ..model.export_checks import Entry, check_stored
from ..model.schema import CREDENTIALS
from . import version_4_secrets

_PAGE_ITEMS = 100


class State(Enum):
    """The encoding of credentials."""

    ENCODED = "base64 text of version 4"
    UNMARKED = "bytes without the attribute encoding"
    CURRENT = "current"
    UPGRADED = "upgraded"
    CHANGED = "changed during the upgrade"


def state(item: Item) -> State:
    """Returns the encoding of stored credentials."""
    if "encoding" in item:
        return State.CURRENT
    return State.ENCODED if version_4_secrets.is_encoded(item) else State.UNMARKED


def survey(read: Callable[[Scan], Page], sub: str | None, advance: Callable[[int], None]) -> Counter[State]:
    """Counts credentials by their encoding; changes nothing.

    Raises:
        RefusedError: An item is not valid.
    """
    found: Counter[State] = Counter()
    for items in _pages(read, sub):
        found.update(map(state, items))
        advance(len(items))
    return found


def upgrade(
    read: Callable[[Scan], Page],
    transact: Callable[[Transact], Failures],
    sub: str | None,
    advance: Callable[[int], None],
) -> Counter[State]:
    """Upgrades credentials and returns their number by state.

    Args:
        read: Reads a page.
        transact: Executes a transaction.
        sub: The user whose credentials are upgraded; None for all users.
        advance: Called with the number of processed credentials.
    """
    found: Counter[State] = Counter()
    for items in _pages(read, sub):
        for item in items:
            if state(item) is State.CURRENT:
                found[State.CURRENT] += 1
            else:
                found[State.CHANGED if transact(version_4_secrets.upgrade(item)) else State.UPGRADED] += 1
            advance(1)
    return found


def _pages(read: Callable[[Scan], Page], sub: str | None) -> Iterator[tuple[Item, ...]]:
    after: Key | None = None
    while True:
        page = read(Scan(CREDENTIALS, _PAGE_ITEMS, after, sub))
        for item in page.items:
            check_stored(Entry(CREDENTIALS, item))
        yield page.items
        after = page.after
        if after is None:
            break
