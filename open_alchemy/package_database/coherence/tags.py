"""What an operation reads and what it may change, as tags.

A read depends on its tags; a write invalidates the reads that share a tag with it. Tags are compared for equality only,
so that a broker looks them up in dictionaries: a ``Get`` depends on its item, a ``Query`` on its whole partition, and a
write changes the item and the partition of each put and delete. A finer tag of a query is not possible: before the
write it is unknown where in a secondary index the replaced item is.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ..core.operations import Check, Get, Key, Put, Query, StoreOperation, Table, Transact
from .messages import Tag, Tags

NO_TAGS: Final[Tags] = frozenset()


def tags_of_read(operation: StoreOperation) -> Tags:
    """Returns what the result of an operation depends on; empty if the result must not be cached.

    The query of a global index is never cached: the index lags, so that no write knows when the result changes.
    """
    match operation:
        case Get(table, key):
            return frozenset((_item_tag(table, key),))
        case Query(table, partition, secondary_index=index) if index is None or index.scope == "local":
            return frozenset((Tag(table.name, partition),))
        case _:
            return NO_TAGS


def read_key(operation: Get | Query) -> Hashable:
    """Returns what distinguishes the result of an operation from that of others on the same tables."""
    if isinstance(operation, Get):
        # Equal to the tag of the item, and faster to build.
        table, key = operation
        return table.name, key[table.partition_key], key[table.sort_key]
    query = operation
    return (
        query.table.name,
        query.partition,
        query.prefix,
        query.secondary_index and query.secondary_index.name,
        query.attributes,
        query.limit,
        query.after and frozenset(query.after.items()),
        query.is_descending,
    )


def tags_of_write(operation: StoreOperation) -> Tags:
    """Returns what an operation may change, whatever the store contains."""
    if not isinstance(operation, Transact):
        return NO_TAGS
    tags = set()
    for action in operation.actions:
        if isinstance(action, Check):
            continue
        table = action.table
        key = table.key_of(action.item) if isinstance(action, Put) else action.key
        tags |= {_item_tag(table, key), Tag(table.name, key[table.partition_key])}
    return frozenset(tags)


def _item_tag(table: Table, key: Key) -> Tag:
    return Tag(table.name, key[table.partition_key], key[table.sort_key])
