"""The vocabulary: what an access pattern may ask of a store.

Operations are plain values in DynamoDB's terms. An access pattern is a generator that yields them and is sent
their results; an engine carries them out. This module knows neither.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

from ..record import record

Value: TypeAlias = str | int | bytes
Item: TypeAlias = Mapping[str, Value]
Key: TypeAlias = Mapping[str, str]

MAX_TRANSACT_ACTIONS: Final = 100
"""Actions in one transaction (AWS, TransactWriteItems)."""
MAX_TRANSACT_BYTES: Final = 4_000_000
"""Size of all items of one transaction in bytes (AWS, TransactWriteItems: 4 MB)."""


@record
class Attribute:
    """An attribute of a table's items; ``type`` is DynamoDB's: S text, N number, B binary."""

    name: str
    type: Literal["S", "N", "B"]
    meaning: str
    is_optional: bool = False


@record
class Index:
    """A secondary index that projects all attributes.

    A local index has the table's partition key and is read strongly consistent; a global index lags.
    """

    name: str
    partition_key: str
    sort_key: str | None
    scope: Literal["local", "global"]


@record
class Table:
    """A table: its keys, its secondary indexes and the attributes of its items."""

    name: str
    partition_key: str
    sort_key: str
    indexes: tuple[Index, ...]
    attributes: tuple[Attribute, ...]

    def key_of(self, item: Item) -> Key:
        """Returns the primary key of an item."""
        return {name: str(item[name]) for name in (self.partition_key, self.sort_key)}


@record
class Missing:
    """The attribute is not there; true also where the whole item is not there."""

    attribute: str


@record
class Equal:
    """The attribute is there and has this value."""

    attribute: str
    value: Value


@record
class Below:
    """The attribute, decimal digits without leading zeros, stands for a smaller number than ``digits`` does."""

    attribute: str
    digits: str


@record
class AllOf:
    """Every one of the conditions holds."""

    conditions: tuple[Condition, ...]


@record
class AnyOf:
    """At least one of the conditions holds."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Missing | Equal | Below | AllOf | AnyOf


@record
class Get:
    """Read one item by its whole key, strongly consistent. Result: the item, or None."""

    table: Table
    key: Key


@record
class Query:
    """Read one partition of a table or an index, by sort-key prefix. Result: the items of every page, in key order.

    Attributes:
        table: The table.
        partition: The partition key.
        prefix: What the sort keys begin with.
        index: The index; None for the table itself.
        attributes: Those that are needed: a store may leave the others out. None for all.
    """

    table: Table
    partition: str
    prefix: str = ""
    index: Index | None = None
    attributes: tuple[str, ...] | None = None


@record
class Scan:
    """Read a page of a whole table, or of one partition of it. Result: ``Page``.

    For operators, who move whole tables in bounded memory: no function of the database asks for it. The order is the
    store's own, but it stays the same, so that a page goes on from another one also in another process, and while items
    come and go: one that is there all the time is on exactly one page. The items of a partition follow each other, in
    the order of their sort keys (AWS, Core components of Amazon DynamoDB). Each item is read strongly consistent, and
    whole: where an attribute has a value that is no ``Value``, the engine raises ``RefusedError``.

    Attributes:
        table: The table.
        limit: The most items on the page, at least 1.
        after: The primary key of the last item seen, which need not be there any more; None to begin.
        partition: Only the items of this partition; None for all.
    """

    table: Table
    limit: int
    after: Key | None = None
    partition: str | None = None


@record
class Page:
    """A page of a table.

    Attributes:
        items: Its items; a page may be empty and not be the last.
        after: What the next page goes on from; None where this is the last.
    """

    items: tuple[Item, ...]
    after: Key | None


@record
class Put:
    """Store an item, replacing one with its key, if the condition on the old item holds."""

    table: Table
    item: Item
    condition: Condition | None = None


@record
class Delete:
    """Delete the item with this key, if the condition on it holds; no item is no failure of its own."""

    table: Table
    key: Key
    condition: Condition | None = None


@record
class Check:
    """Change nothing, but fail the transaction where the condition does not hold."""

    table: Table
    key: Key
    condition: Condition


Action: TypeAlias = Put | Delete | Check
Failures: TypeAlias = Mapping[int, Item | None]
"""For each action whose condition did not hold, by its place in the transaction: the old item, or None."""


@record
class Transact:
    """Carry out all actions or none, on distinct items. Result: ``Failures``, empty when done."""

    actions: tuple[Action, ...]


@record
class DeleteMany:
    """Delete any number of items, each by itself, until all are gone. Result: None. Never for specs."""

    table: Table
    keys: tuple[Key, ...]


@record
class Stamp:
    """Ask for the time and a revision. Result: ``Stamped``."""


@record
class Stamped:
    """Whole seconds since the epoch, and a text that no other write has."""

    seconds: int
    revision: str


@record
class Backoff:
    """Wait before the race is run again, longer with each lost ``attempt`` (0 for the first). Result: None."""

    attempt: int


StoreOperation: TypeAlias = Get | Query | Scan | Transact | DeleteMany
Operation: TypeAlias = StoreOperation | Stamp | Backoff

Result = TypeVar("Result")
Steps: TypeAlias = Generator[Operation, Any, Result]
"""An access pattern at work: yields operations, is sent their results and returns the pattern's result."""
