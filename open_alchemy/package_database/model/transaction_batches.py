"""Splits writes of any number of items into transactions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.operations import MAX_TRANSACT_ACTIONS, MAX_TRANSACT_BYTES, Item
from .validation import item_size


def split(items: Sequence[Item], *, reserved: Sequence[Item] = ()) -> Iterator[list[Item]]:
    """Splits items, in order, into as few groups as one transaction each can hold.

    Args:
        items: The items.
        reserved: The items of further actions in every transaction.
    """
    limit = MAX_TRANSACT_BYTES - sum(map(item_size, reserved))
    group: list[Item] = []
    free = limit
    for item in items:
        size = item_size(item)
        if group and (len(group) == MAX_TRANSACT_ACTIONS - len(reserved) or size > free):
            yield group
            group, free = [], limit
        group.append(item)
        free -= size
    if group:
        yield group
