"""Executes an operation on the shards that it concerns. No I/O: yields requests to servers.

*Index entries.* Before a transaction stores items with a globally unique key, it writes their entries:

1. It reads the generation of its partition.
2. It writes each entry. If another item has one, ``Shard.invalidate`` finds out whether that item has the key. If it
   has, the write is refused. If it has not, a new generation of its partition begins, so that no transaction that wrote
   the entry can commit any more, and the entry is replaced, unless it was written again.
3. The transaction commits only if the generation of its own partition is still the one of step 1; otherwise it starts
   from there again. It stores the token of the entry with the item. The token contains the generation: an entry that
   was written again in a new generation is not the one that step 2 found stale.
4. Afterwards, the entries of removed and replaced items are deleted, each only if it has the token that its item had: a
   concurrent transaction that stores the key again has written it with another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...core.operations import DUPLICATE_KEY, Action, Failures, Get, Page, Query, Scan, StoreOperation, Table, Transact
from ...exceptions import ConflictError, RefusedError, ValidationError
from ..sql.execution import key_of
from .global_index import Entry
from .io_requests import BatchSteps, CheckOut, OnServer, Requests
from .retry import Failure
from .shard_locations import COMMAND, Locations
from .shard_statements import Outcome, Shard, entry_token

if TYPE_CHECKING:
    from logging import Logger

_REPAIR: Final = "repairing an index"

Steps: TypeAlias = Callable[[], BatchSteps[Any]]


class Routing:
    """The operations on a sharded database.

    Args:
        locations: The locations of the shards.
        tables: The tables.
    """

    def __init__(self, locations: Locations, tables: Sequence[Table]) -> None:
        self._locations = locations
        self._tables = tables
        self._shards: dict[int, Shard] = {}

    def shard(self, number: int) -> Shard:
        """Returns the statements of a shard, rendered once."""
        found = self._shards.get(number)
        if found is None:
            found = self._shards[number] = Shard(number, self._tables)
        return found

    def execute(self, operation: StoreOperation) -> Requests[Any]:
        """Executes an operation and returns its result."""
        match operation:
            case Get(table, key):
                return self._in_shard_of(key[table.partition_key], operation)
            case Query(table, partition, secondary_index=index) if index is not None and index.scope == "global":
                return self._look_up(table, partition)
            case Query(_, partition):
                return self._in_shard_of(partition, operation)
            case Scan():
                return self._scan(operation)
            case Transact():
                return self._transact(operation)

    def shard_of(self, key: str) -> Requests[int]:
        """Returns the shard of a partition key or of a key of a global index."""
        return (yield from self._locations.shard_of(key))

    def in_shard(self, number: int, steps: Steps, what: str) -> Requests[Any]:
        """Executes steps in a shard; raises ``ValidationError`` if there is none of this number."""
        yield from self._check(number)
        return (yield from self._on(number, steps, what))

    def check_out(self, number: int, logger: Logger | None) -> Requests[Any]:
        """Returns a connection to the server that has a shard; raises ``ValidationError`` as ``in_shard``."""
        yield from self._check(number)
        server = yield from self._locations.server_of(number)
        return (yield CheckOut(server, logger))

    def _check(self, number: int) -> Requests[None]:
        shards = yield from self._locations.shards()
        if not 1 <= number <= shards:
            raise ValidationError(f"there is no shard {number}: the database has the shards 1 to {shards}")

    def _in_shard_of(self, partition: str, operation: Get | Query | Scan) -> Requests[Any]:
        number = yield from self._locations.shard_of(partition)
        return (yield from self._in_shard(number, operation))

    def _in_shard(self, number: int, operation: Get | Query | Scan) -> Requests[Any]:
        sql = self.shard(number).sql
        what = f"{type(operation).__name__} on {operation.table.name}"
        is_unbounded = not isinstance(operation, Get)
        return (yield from self._on(number, partial(sql.steps, operation), what, is_unbounded=is_unbounded))

    def _on(self, number: int, steps: Steps, what: str, *, is_unbounded: bool = False) -> Requests[Any]:
        """Executes steps on the server that has a shard; finds the shard again where it has moved."""
        failed_on = ""
        while True:
            server = yield from self._locations.server_of(number)
            result = yield OnServer(server, steps, what, is_unbounded)
            if not isinstance(result, Failure):
                return result
            if server == failed_on:
                # Its catalog was read after the first failure, so the shard has not moved.
                raise RefusedError(
                    f"{what} was refused: {result.message} ({result.code}); run {COMMAND}", code=result.code
                )
            failed_on = server
            self._locations.forget()

    def _look_up(self, table: Table, value: str) -> Requests[Any]:
        number = yield from self._locations.shard_of(value)
        index = self.shard(number).indexes[table.name]
        return (yield from self._on(number, partial(index.look_up, value), f"Query on {table.name}.{index.key}"))

    def _scan(self, scan: Scan) -> Requests[Page]:
        """Reads the shards in the order of their numbers."""
        if scan.partition is not None:
            found: Page = yield from self._in_shard_of(scan.partition, scan)
            return found
        table, last = scan.table, (yield from self._locations.shards())
        first = 1
        if scan.after is not None:
            first = yield from self._locations.shard_of(scan.after[table.partition_key])
        items: list[Any] = []
        after = scan.after
        for number in range(first, last + 1):
            page = yield from self._in_shard(number, Scan(table, scan.limit - len(items), after))
            items += page.items
            after = None
            if len(items) == scan.limit:
                is_end = number == last and page.after is None
                return Page(tuple(items), None if is_end else table.key_of(items[-1]))
        return Page(tuple(items), None)

    def _transact(self, operation: Transact) -> Requests[Failures]:
        actions, token = operation.actions, operation.token
        partition = _partition_of(actions)
        number = yield from self._locations.shard_of(partition)
        shard = self.shard(number)
        what = f"Transact on {', '.join(sorted({action.table.name for action in actions}))}"
        while True:
            generation: int | None = None
            if shard.stores_keys(actions):
                generation = yield from self._on(number, partial(shard.generation, partition), what)
                for entry in shard.entries(actions, entry_token(token, generation)):
                    yield from self._claim(entry, what)
            steps = partial(shard.transact, actions, token, generation)
            outcome: Outcome = yield from self._on(number, steps, what)
            if not outcome.is_fenced:
                break
        for entry in outcome.removed:
            yield from self._delete_entry(entry, what)
        return outcome.failures

    def repair(self) -> Requests[int]:
        """Deletes the stale entries of all global indexes, and returns their number.

        An entry whose item lacks the key may belong to a transaction that has not stored the item yet. ``invalidate``
        makes such a transaction write its entry again, with another token.
        """
        last, deleted = (yield from self._locations.shards()), 0
        for number in range(1, last + 1):
            for index in self.shard(number).indexes.values():
                after = ""
                while page := (yield from self._on(number, partial(index.page, after), _REPAIR)):
                    after = page[-1].value
                    for entry in (yield from self._suspects(page)):
                        holder = yield from self._locations.shard_of(entry.holder[0])
                        if (yield from self._on(holder, partial(self.shard(holder).invalidate, entry), _REPAIR)):
                            yield from self._delete_entry(entry, _REPAIR)
                            deleted += 1
        return deleted

    def _suspects(self, page: Sequence[Entry]) -> Requests[list[Entry]]:
        """Returns the entries whose items do not have their key."""
        by_shard: dict[int, list[Entry]] = {}
        for entry in page:
            holder = yield from self._locations.shard_of(entry.holder[0])
            by_shard.setdefault(holder, []).append(entry)
        suspects: list[Entry] = []
        for number, entries in by_shard.items():
            index = self.shard(number).indexes[entries[0].table]
            suspects += yield from self._on(number, partial(index.without_item, entries), _REPAIR)
        return suspects

    def _claim(self, entry: Entry, what: str) -> Requests[None]:
        """Writes an index entry, unless another item has the key."""
        number = yield from self._locations.shard_of(entry.value)
        index = self.shard(number).indexes[entry.table]
        stale: Entry | None = None
        while (other := (yield from self._on(number, partial(index.claim, entry, stale), what))) is not None:
            holder = yield from self._locations.shard_of(other.holder[0])
            if not (yield from self._on(holder, partial(self.shard(holder).invalidate, other), what)):
                raise ConflictError(f"{what}: another item has the same {index.key}", code=DUPLICATE_KEY)
            stale = other

    def _delete_entry(self, entry: Entry, what: str) -> Requests[None]:
        number = yield from self._locations.shard_of(entry.value)
        index = self.shard(number).indexes[entry.table]
        yield from self._on(number, partial(index.delete, entry), what)


def _partition_of(actions: Iterable[Action]) -> str:
    partitions = {key_of(action)[action.table.partition_key] for action in actions}
    if len(partitions) != 1:
        raise RefusedError("a transaction must stay within one partition", code="SeveralPartitions")
    return partitions.pop()
