"""Rewriting what version 4 stored, safe to stop at any moment and to repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum

from ..core.operations import Failures, Item, Key, Page, Scan, Transact
from ..exceptions import ConflictError
from ..model.schema import CREDENTIALS
from ..model.stored_items import Entry, check_stored
from .upgrade_marks import Mark, Marks, digest
from .version_4 import Form, decoded, form, rewrite

_PAGE_ITEMS = 100


class State(Enum):
    """Where credentials are on the way from version 4."""

    TEXT = Form.TEXT.value
    TEXT_OF_TEXT = Form.TEXT_OF_TEXT.value
    BYTES = Form.BYTES.value
    DONE = "rewritten"
    REPLACED = "replaced by others since"


def state(item: Item, mark: Mark | None) -> State:
    """Returns where credentials are: where they are marked, what they are now says whether they were rewritten."""
    if mark is not None:
        now = digest(item)
        if now == mark.after:
            return State.DONE
        if now != mark.before:
            return State.REPLACED
    return State(form(item).value)


def survey(
    read: Callable[[Scan], Page], marks: Marks, sub: str | None, advance: Callable[[int], None]
) -> Counter[State]:
    """Returns how many credentials are where; changes nothing.

    Raises:
        RefusedError: An item is not as it must be.
    """
    found: Counter[State] = Counter()
    for items in _pages(read, sub):
        found.update(state(item, marks.get(item)) for item in items)
        advance(len(items))
    return found


def check_one_form(found: Counter[State]) -> None:
    """Checks that what is to be rewritten has one form, so that it is all version 4's.

    Raises:
        ConflictError: It has two: some may be bytes that look like text, and decoding them would spoil them.
    """
    if found[State.TEXT] and found[State.TEXT_OF_TEXT]:
        raise ConflictError(
            f"{found[State.TEXT]} credentials hold base64 text and {found[State.TEXT_OF_TEXT]} base64 text of base64 "
            "text: which of them version 4 wrote cannot be told, so nothing is rewritten; upgrade the users that "
            "version 4 wrote one by one with --sub"
        )


def upgrade(
    read: Callable[[Scan], Page],
    transact: Callable[[Transact], Failures],
    marks: Marks,
    sub: str | None,
    advance: Callable[[int], None],
) -> Counter[State]:
    """Rewrites the credentials that hold text, and returns how many are where then.

    Args:
        read: Reads a page.
        transact: Carries out a transaction.
        marks: The marks, open to write.
        sub: Whose credentials; None for all.
        advance: Is told how many credentials were settled.
    """
    found: Counter[State] = Counter()
    for items in _pages(read, sub):
        states = [state(item, marks.get(item)) for item in items]
        texts = [item for item, known in zip(items, states, strict=True) if known in (State.TEXT, State.TEXT_OF_TEXT)]
        # The marks come first: without its mark, bytes that look like text would be decoded again.
        marks.add((item, decoded(item)) for item in texts)
        found.update(known for known in states if known not in (State.TEXT, State.TEXT_OF_TEXT))
        advance(len(items) - len(texts))
        for item in texts:
            found[State.REPLACED if transact(rewrite(item)) else State.DONE] += 1
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
