"""Operations: the requests that an access pattern yields and an engine executes.

Operations are immutable values in DynamoDB's terms. This module knows no pattern and no engine.
"""

from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

Value: TypeAlias = str | int | bytes
Item: TypeAlias = Mapping[str, Value]
Key: TypeAlias = Mapping[str, str]

MAX_TRANSACT_ACTIONS: Final = 100
"""Actions in one transaction (AWS, TransactWriteItems)."""
MAX_TRANSACT_BYTES: Final = 4_000_000
"""Size of all items of one transaction in bytes (AWS, TransactWriteItems: 4 MB)."""


DUPLICATE_KEY: Final = "DuplicateKey"
"""The code of the ``ConflictError`` if another item has the same key of a unique index."""


class Attribute(NamedTuple):
    """An attribute of a table's items; ``type`` is DynamoDB's: S text, N number, B binary."""

    name: str
    type: Literal["S", "N", "B"]
    meaning: str
    is_optional: bool = False


class Index(NamedTuple):
    """A secondary index that projects all attributes.

    A local index has the table's partition key and is read strongly consistent; a global index lags. ``is_unique``:
    stores that can, refuse a second item with the same key (``DUPLICATE_KEY``).
    """

    name: str
    partition_key: str
    sort_key: str | None
    scope: Literal["local", "global"]
    is_unique: bool = False


class Table(NamedTuple):
    """A table: its keys, its secondary indexes and the attributes of its items."""

    name: str
    partition_key: str
    sort_key: str
    indexes: tuple[Index, ...]
    attributes: tuple[Attribute, ...]

    def key_of(self, item: Item) -> Key:
        """Returns the primary key of an item."""
        return {name: str(item[name]) for name in (self.partition_key, self.sort_key)}


class Missing(NamedTuple):
    """The attribute, or the whole item, does not exist."""

    attribute: str


class Equal(NamedTuple):
    """The attribute exists and has this value."""

    attribute: str
    value: Value


class Below(NamedTuple):
    """The attribute, decimal digits without leading zeros, is a smaller number than ``digits``."""

    attribute: str
    digits: str


class AtLeast(NamedTuple):
    """The attribute, decimal digits without leading zeros, is the number ``digits`` or a larger one."""

    attribute: str
    digits: str


class AllOf(NamedTuple):
    """All of the conditions hold."""

    conditions: tuple["Condition", ...]


class AnyOf(NamedTuple):
    """At least one of the conditions holds."""

    conditions: tuple["Condition", ...]


Condition: TypeAlias = Missing | Equal | Below | AtLeast | AllOf | AnyOf


class Items(list[Item]):
    """The items of a query that an engine may return again. Nobody changes the list or its items.

    Attributes:
        derived: What access patterns made of the items, by the name of what they made.
    """

    __slots__ = ("derived",)

    def __init__(self, items: Iterable[Item]) -> None:
        super().__init__(items)
        self.derived: dict[str, Any] = {}


class Get(NamedTuple):
    """Read one item by its primary key, strongly consistent. Result: the item, or None."""

    table: Table
    key: Key


class Query(NamedTuple):
    """Read one partition of a table or an index, by sort-key prefix. Result: the items, in key order.

    Attributes:
        table: The table.
        partition: The partition key.
        prefix: The prefix of the sort keys.
        secondary_index: The index; None for the table itself.
        attributes: The attributes to return; a store may return more. None for all.
        limit: The maximum number of items, at least 1; None for all. Fewer are returned only if there are no more.
        after: Only the items after this position: the keys of the table, and those of the index. There need not be an
            item with these keys. The sort key has the prefix.
        is_descending: Reads and returns the items in the reverse order.
    """

    table: Table
    partition: str
    prefix: str = ""
    secondary_index: Index | None = None
    attributes: tuple[str, ...] | None = None
    limit: int | None = None
    after: Key | None = None
    is_descending: bool = False


class Scan(NamedTuple):
    """Read a page of a whole table, or of one partition of it. Result: ``Page``.

    Only the commands of ``admin/`` use it, to process tables in bounded memory. The order is the store's and is stable:
    another process can continue after any page, and an item that exists throughout is on exactly one page, whatever
    else is written meanwhile. The items of a partition are adjacent and in the order of their sort keys (AWS, Core
    components of Amazon DynamoDB). Each item is read strongly consistent, with all attributes: if a value is not a
    ``Value``, the engine raises ``RefusedError``.

    Attributes:
        table: The table.
        limit: Maximum number of items on the page, at least 1.
        after: The primary key of the last item of the previous page, which may be deleted by now; None for the first.
        partition: Only the items of this partition; None for all.
    """

    table: Table
    limit: int
    after: Key | None = None
    partition: str | None = None


class Page(NamedTuple):
    """A page of a table.

    Attributes:
        items: The items; a page that is not the last may be empty.
        after: The key after which the next page starts; None if this is the last.
    """

    items: tuple[Item, ...]
    after: Key | None


class Put(NamedTuple):
    """Store an item, replacing the one with its key, if the condition on the old item holds."""

    table: Table
    item: Item
    condition: Condition | None = None


class Delete(NamedTuple):
    """Delete the item with this key, if the condition on it holds. A missing item alone is not a failure."""

    table: Table
    key: Key
    condition: Condition | None = None


class Check(NamedTuple):
    """Fail the transaction if the condition does not hold."""

    table: Table
    key: Key
    condition: Condition


Action: TypeAlias = Put | Delete | Check
Failures: TypeAlias = Mapping[int, Item | None]
"""The old item, or None, of each action whose condition did not hold, by the action's position."""


REPEATED: Final = "TokenUsed"
"""The code of the ``ConflictError`` of a transaction that is delivered again and is not executed any more."""


class Transact(NamedTuple):
    """Execute all actions or none, on distinct items. Result: ``Failures``, empty if they were executed.

    It is the only operation that writes. An engine executes a transaction at most once per token, and never after it
    has returned the result, however often and late the request is delivered.

    Attributes:
        actions: At most ``MAX_TRANSACT_ACTIONS``, whose items have at most ``MAX_TRANSACT_BYTES``.
        token: Unique per transaction, at most 36 characters. The runner sets it.
        is_repeatable: Whether the transaction may be delivered again after the engine returned, as a broker's may, so
            that the engine must record the token with it.
        is_final: Whether an earlier delivery may still be in flight, which must not be executed if the conditions fail
            now.
    """

    actions: tuple[Action, ...]
    token: str = ""
    is_repeatable: bool = False
    is_final: bool = False


class Stamp(NamedTuple):
    """Return the time and a new revision. Result: ``Stamped``."""


class Stamped(NamedTuple):
    """Whole seconds since the epoch, at least 0, and a unique text."""

    seconds: int
    revision: str


class Backoff(NamedTuple):
    """Wait before the next attempt of a contended write, longer with each ``attempt`` (from 0). Result: None."""

    attempt: int


StoreOperation: TypeAlias = Get | Query | Scan | Transact
Operation: TypeAlias = StoreOperation | Stamp | Backoff

Result = TypeVar("Result")
Steps: TypeAlias = Generator[Operation, Any, Result]
"""A running access pattern: yields operations, receives their results and returns the pattern's result."""
