"""The messages between a client and a broker. docs/broker.md specifies them for other languages.

Each struct is an array whose first element is its tag. Binary attributes of an item are apart from the others: they are
secrets, and JSON has no type for them. No repr contains a value of an item.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from ...coherence.messages import AnswerHeader, ReadHeader
from ...core.operations import MAX_TRANSACT_ACTIONS
from .cache_messages import BetweenBrokers, SessionAnswer, SessionRequest

VERSION: Final = 1
MAX_ID: Final = 2**53 - 1
"""The largest number that every JSON library reads exactly."""

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
KeyText: TypeAlias = Annotated[str, Meta(max_length=2_048)]
"""A value of a key: what a broker stores of a request while it is used, such as for a subscription."""
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=36, pattern="^[!-~]+$")]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
Key: TypeAlias = dict[str, str]
TableAction: TypeAlias = Literal["create", "delete", "describe", "differences", "clear"]


class Item(Struct, frozen=True, array_like=True):
    """An item: its text and numbers, and its binary attributes."""

    values: dict[str, str | int]
    secrets: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"<item with {len(self.values) + len(self.secrets)} attributes>"


class Missing(Struct, frozen=True, array_like=True, tag="missing"):
    """The attribute, or the whole item, does not exist."""

    attribute: Text


class Equal(Struct, frozen=True, array_like=True, tag="equal"):
    """The attribute is this text or number."""

    attribute: Text
    value: str | int

    def __repr__(self) -> str:
        return f"<{self.attribute} equals a value>"


class EqualBinary(Struct, frozen=True, array_like=True, tag="equal_binary"):
    """The attribute is these bytes."""

    attribute: Text
    value: bytes

    def __repr__(self) -> str:
        return f"<{self.attribute} equals a value>"


class Below(Struct, frozen=True, array_like=True, tag="below"):
    """The attribute, decimal digits, is a smaller number."""

    attribute: Text
    digits: Annotated[str, Meta(pattern="^(0|[1-9][0-9]*)$", max_length=40)]


class AtLeast(Struct, frozen=True, array_like=True, tag="atleast"):
    """The attribute, decimal digits, is this number or a larger one."""

    attribute: Text
    digits: Annotated[str, Meta(pattern="^(0|[1-9][0-9]*)$", max_length=40)]


class AllOf(Struct, frozen=True, array_like=True, tag="all"):
    """All of the conditions hold."""

    conditions: tuple[Condition, ...]


class AnyOf(Struct, frozen=True, array_like=True, tag="any"):
    """At least one of the conditions holds."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Missing | Equal | EqualBinary | Below | AtLeast | AllOf | AnyOf


class Put(Struct, frozen=True, array_like=True, tag="put"):
    """Store an item."""

    table: Text
    item: Item
    condition: Condition | None = None


class Delete(Struct, frozen=True, array_like=True, tag="delete"):
    """Delete an item."""

    table: Text
    partition: Text
    sort: Text
    condition: Condition | None = None


class Check(Struct, frozen=True, array_like=True, tag="check"):
    """Fail the transaction if the condition does not hold."""

    table: Text
    partition: Text
    sort: Text
    condition: Condition


Action: TypeAlias = Put | Delete | Check


class Get(Struct, frozen=True, array_like=True, tag="get"):
    """Read one item. Answer: ``Found``."""

    table: Text
    partition: KeyText
    sort: KeyText


class Query(Struct, frozen=True, array_like=True, tag="query"):
    """Read items of one partition. Answer: ``Items``; the client requests the next page when it has read one."""

    table: Text
    partition: KeyText
    prefix: KeyText = ""
    index: str | None = None
    attributes: tuple[str, ...] | None = None
    limit: Limit | None = None
    after: Key | None = None
    is_descending: bool = False


class Scan(Struct, frozen=True, array_like=True, tag="scan"):
    """Read a page of a table. Answer: ``Items``."""

    table: Text
    limit: Limit
    after: Key | None = None
    partition: str | None = None


class Transact(Struct, frozen=True, array_like=True, tag="transact"):
    """Execute all actions or none, once per token. Answer: ``Executed``.

    Attributes:
        is_final: Whether no earlier copy of the request is executed any more if the conditions fail now.
    """

    token: Token
    actions: Annotated[tuple[Action, ...], Meta(min_length=1, max_length=MAX_TRANSACT_ACTIONS)]
    is_final: bool = False


class Call(Struct, frozen=True, array_like=True, tag="call"):
    """Call an exposed function. Answer: ``Returned``."""

    function: Text
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        return f"<call of {self.function}>"


class Describe(Struct, frozen=True, array_like=True, tag="describe"):
    """Describe the schema of the tables. Answer: ``Described``."""


class Administer(Struct, frozen=True, array_like=True, tag="administer"):
    """Create, delete, describe, compare or empty a table. Answer: ``Administered``."""

    action: TableAction
    table: Text


class Status(Struct, frozen=True, array_like=True, tag="status"):
    """Report figures. Answer: ``Figures``."""


class Subscribe(Struct, frozen=True, array_like=True, tag="subscribe"):
    """Start or renew a subscription to changes. Answer: ``Subscribed``, and ``Changed`` from then on.

    Attributes:
        subscription: The name of the subscription, chosen by the client.
        partition: The partition key of the changes; None for all.
    """

    subscription: Token
    partition: KeyText | None = None


class Granters(Struct, frozen=True, array_like=True, tag="granters"):
    """Find the brokers that let clients cache. Answer: ``Granting``.

    Attributes:
        failed: The address of the one that the client has used before, and that may have ended.
    """

    failed: Annotated[str, Meta(max_length=500)] | None = None


Operation: TypeAlias = Get | Query | Scan | Transact
RequestBody: TypeAlias = (
    Operation | Call | Describe | Administer | Status | Subscribe | Granters | SessionRequest | BetweenBrokers
)


class Request(Struct, frozen=True, array_like=True):
    """A request.

    Attributes:
        version: The version of the protocol.
        id: Unique per connection, above 0; a request that is sent again has the same id.
        sent: When it was sent, in seconds since the epoch by the clock of the client.
        seconds: The time left until the deadline.
        body: What is requested.
        instance: The instance of the broker; empty for its default one.
        read: Only for ``Get`` and ``Query`` of a client with a cache.
    """

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    id: Annotated[int, Meta(ge=1, le=MAX_ID)]
    sent: Annotated[float, Meta(ge=0, le=1e11)]
    seconds: Annotated[float, Meta(ge=0, le=86_400)]
    body: RequestBody
    instance: Annotated[str, Meta(max_length=100)] = ""
    read: ReadHeader | None = None


class Found(Struct, frozen=True, array_like=True, tag="found"):
    """An item, if it exists."""

    item: Item | None


class Items(Struct, frozen=True, array_like=True, tag="items"):
    """A page of items; ``after`` is the position of the next page, if there is one."""

    items: list[Item]
    after: Key | None = None


class Failure(Struct, frozen=True, array_like=True):
    """An action, by its position, whose condition did not hold, and the item as it was, if it existed."""

    action: int
    item: Item | None


class Executed(Struct, frozen=True, array_like=True, tag="executed"):
    """A transaction took effect if there are no failures, otherwise it had no effect."""

    failures: tuple[Failure, ...] = ()


class Returned(Struct, frozen=True, array_like=True, tag="returned"):
    """The result of an exposed function."""

    value: Any

    def __repr__(self) -> str:
        return "<the result of a function>"


class Attribute(Struct, frozen=True, array_like=True):
    """An attribute: S text, N number, B binary."""

    name: str
    type: Literal["S", "N", "B"]
    meaning: str
    is_optional: bool


class Index(Struct, frozen=True, array_like=True):
    """A secondary index."""

    name: str
    partition_key: str
    sort_key: str | None
    scope: Literal["local", "global"]
    is_unique: bool


class Table(Struct, frozen=True, array_like=True):
    """The schema of a table."""

    name: str
    partition_key: str
    sort_key: str
    indexes: tuple[Index, ...]
    attributes: tuple[Attribute, ...]


class Described(Struct, frozen=True, array_like=True, tag="described"):
    """The schema of the tables."""

    tables: tuple[Table, ...]


class Keys(Struct, frozen=True, array_like=True):
    """The keys of a table or an index."""

    name: str
    partition_key: str
    sort_key: str | None


class TableInfo(Struct, frozen=True, array_like=True):
    """A table as it exists in the store."""

    keys: Keys
    status: str
    indexes: tuple[Keys, ...]
    items: int
    size: int
    identity: dict[str, str]


class Administered(Struct, frozen=True, array_like=True, tag="administered"):
    """What was done to a table, or how it is.

    Attributes:
        existed: Whether a table that was deleted existed.
        info: The table as it exists.
        differences: The differences from the schema, in sentences.
    """

    existed: bool = False
    info: TableInfo | None = None
    differences: list[str] = []


class Figures(Struct, frozen=True, array_like=True, tag="figures"):
    """Figures of a broker by their names."""

    figures: dict[str, int | float]


class Failed(Struct, frozen=True, array_like=True, tag="failed"):
    """An error of ``exceptions``.

    Attributes:
        error: The name of its class.
        message: The message, without a value, a path or a secret.
        code: The code of the store or the broker.
        request_id: The id of the store's request.
        attempts: The number of attempts at the store.
        seconds: The time since the request was received.
        subclass: For an error class of an exposed function: its module, a colon and its name.
    """

    error: str
    message: str
    code: str = ""
    request_id: str | None = None
    attempts: int = 0
    seconds: float = 0.0
    subclass: str = ""


class Working(Struct, frozen=True, array_like=True, tag="working"):
    """The requests of the client that were received and are not answered yet. The id of this answer is 0."""

    ids: tuple[int, ...]


class Noted(Struct, frozen=True, array_like=True, tag="noted"):
    """The answer to a request with a header, if its session has not ended."""

    header: AnswerHeader
    body: Found | Items | Failed


class Granter(Struct, frozen=True, array_like=True):
    """A broker that lets clients cache.

    Attributes:
        id: Its id in the registry; None if it enters the registry with its first session.
        address: Where it is reached; several addresses are separated by commas.
    """

    id: str | None
    address: str


class Granting(Struct, frozen=True, array_like=True, tag="granting"):
    """The brokers that let clients cache; ``is_this``: only the broker that answers."""

    is_this: bool = False
    brokers: tuple[Granter, ...] = ()


class Subscribed(Struct, frozen=True, array_like=True, tag="subscribed"):
    """A subscription is active.

    Attributes:
        epoch: Another one if the broker has started, or forgot the subscription.
        number: The number of the last ``Changed`` of this epoch; 0 if there was none.
    """

    epoch: str
    number: int


class Change(Struct, frozen=True, array_like=True):
    """An item was created, updated or deleted."""

    kind: Literal["created", "updated", "deleted"]
    table: str
    partition: str
    sort: str
    revision: str | None = None


class Changed(Struct, frozen=True, array_like=True, tag="changed"):
    """The changes of a transaction. The id of this answer is 0; ``number`` increases by 1 within an epoch."""

    subscription: str
    epoch: str
    number: int
    changes: tuple[Change, ...]


AnswerBody: TypeAlias = (
    Found
    | Items
    | Executed
    | Returned
    | Described
    | Administered
    | Figures
    | Failed
    | Working
    | Subscribed
    | Changed
    | Noted
    | Granting
    | SessionAnswer
)


class Answer(Struct, frozen=True, array_like=True):
    """An answer: the id of its request, or 0 for a message that answers none."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    id: Annotated[int, Meta(ge=0, le=MAX_ID)]
    body: AnswerBody


class Head(Struct, frozen=True, array_like=True):
    """The start of every message of every version."""

    version: int
    id: int
