"""One shard: a schema with the tables, the entries of global indexes, and the tokens of transactions. No I/O.

A transaction takes the lock of its partition first, so that the conditions of absent items hold until it commits, and
no two transactions of a user can deadlock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, TypeGuard

from ...core.operations import REPEATED, Action, Check, Delete, Failures, Put, Table
from ...exceptions import ConflictError
from ..sql.execution import COMMIT, SQLExecution, StatementSteps, key_of
from ..sql.statements import Row, Statement, TableStatements
from . import datastore_entities
from .dialect import CATALOG, POSTGRESQL
from .global_index import ENTRY, Entry, GlobalIndex
from .io_requests import Batch, BatchSteps
from .put_statement import can_put, lock_partition, put_all
from .shard_hash import schema_of

_ROLLBACK: Final = Statement("ROLLBACK")
_NOTHING: Final = Statement("SELECT 1 WHERE false")
_PRUNING: Final = "00"
"""How the token of a transaction starts that deletes old tokens: one in 256."""
_LIFETIME: Final = "1 day"
_MAX_PRUNED: Final = 1_000
"""Old tokens that one transaction deletes at most."""


class Outcome(NamedTuple):
    """What a transaction did.

    Attributes:
        failures: The old item of each action whose condition did not hold.
        removed: The index entries that no item names any more.
        is_fenced: Whether nothing was done because the generation of the partition is another one.
    """

    failures: Failures
    removed: Sequence[Entry] = ()
    is_fenced: bool = False


class Shard:
    """The statements of one shard.

    Args:
        number: Its number.
        tables: The tables.

    Attributes:
        number: Its number.
        schema: The name of the schema.
        sql: The operations on the tables.
        indexes: The global indexes, by the name of their table.
    """

    def __init__(self, number: int, tables: Sequence[Table]) -> None:
        self.number = number
        self.schema = schema_of(number)
        self.indexes: Mapping[str, GlobalIndex] = {
            table.name: GlobalIndex(table, index, self.schema)
            for table in tables
            for index in table.indexes
            if index.scope == "global"
        }
        self.sql = SQLExecution(tables, POSTGRESQL, self.schema)

    def definitions(self, table: Table) -> dict[str, str]:
        """Returns the statements that create a table, its indexes and what every shard needs, by name."""
        index = self.indexes.get(table.name)
        columns = (*table.attributes, ENTRY) if index else table.attributes
        local = table._replace(indexes=tuple(i for i in table.indexes if i.scope == "local"), attributes=columns)
        return {
            **TableStatements(local, POSTGRESQL, self.schema).definitions(),
            **(index.definitions() if index else {}),
            "tokens": f"CREATE TABLE {self.schema}.tokens (token TEXT PRIMARY KEY, "
            "is_committed BOOLEAN NOT NULL, created TIMESTAMPTZ NOT NULL DEFAULT now())",
            "tokens.created": f'CREATE INDEX "tokens.created" ON {self.schema}.tokens (created)',
            "generations": f"CREATE TABLE {self.schema}.generations "
            "(partition BYTEA PRIMARY KEY, generation BIGINT NOT NULL)",
            **datastore_entities.definitions(self.number),
        }

    def relations(self, table: Table) -> list[str]:
        """Returns the names of a table, its indexes and what every shard needs, in the schema."""
        return [_short(name) if name == table.name else name for name in self.definitions(table)]

    def columns(self, table: Table) -> dict[tuple[str, str], str]:
        """Returns the types of the columns of a table, by its name and theirs."""
        attributes = (*table.attributes, ENTRY) if table.name in self.indexes else table.attributes
        return {(_short(table.name), attribute.name): POSTGRESQL.types[attribute.type] for attribute in attributes}

    def drop(self, table: Table) -> list[str]:
        """Returns the statements that drop a table with its index entries."""
        index = self.indexes.get(table.name)
        return [self.sql.of(table).drop(), *([index.drop()] if index else [])]

    def clear(self, table: Table) -> list[str]:
        """Returns the statements that delete all items of a table with their index entries."""
        index = self.indexes.get(table.name)
        return [self.sql.of(table).clear(), *([index.clear()] if index else [])]

    def entries(self, actions: Sequence[Action], token: str) -> list[Entry]:
        """Returns the index entries, with this token, of the items that a transaction stores."""
        entries: list[Entry] = []
        for action in actions:
            index = self.indexes.get(action.table.name)
            if index is not None and isinstance(action, Put) and index.key in action.item:
                partition, sort = key_of(action).values()
                entries.append(Entry(action.table.name, str(action.item[index.key]), (partition, sort), token))
        return entries

    def stores_keys(self, actions: Sequence[Action]) -> bool:
        """Returns whether a transaction stores items that need index entries."""
        return bool(self.entries(actions, ""))

    def transact(self, actions: Sequence[Action], token: str, generation: int | None) -> BatchSteps[Outcome]:
        """Executes a transaction once, and records its token with it.

        Args:
            actions: The actions, on items of one partition.
            token: The token; empty if nothing repeats the transaction.
            generation: The generation of the partition in which its index entries were written; None if there are none.

        Raises:
            ConflictError: The transaction was repeated, and its first execution changed nothing.
        """
        partition = key_of(actions[0])[actions[0].table.partition_key]
        if generation is None and token and not token.startswith(_PRUNING) and self._is_put(actions):
            ((is_written,),) = yield put_all(self.sql, actions, self.schema, _lock_of(partition), token)
            if is_written:
                return Outcome({})
        conditions = self.sql.reads(actions)
        found = yield Batch(
            (
                *self._begin(partition),
                self._generation(partition),
                # Without a token, nothing is recorded.
                self._insert_token(token) if token else _NOTHING,
                *conditions,
                *self._entry_reads(actions),
            )
        )
        _, _, generations, inserted, *rows = found
        if generation is not None and _generation_of(generations) != generation:
            yield _ROLLBACK
            return Outcome({}, is_fenced=True)
        failures = self.sql.failures(actions, rows[: len(conditions)])
        if token and not inserted:
            return (yield from self._recorded(failures, token))
        if failures:
            yield Batch((self._record_failure(token), COMMIT))
            return Outcome(failures)
        yield Batch((*self._writes(actions, token, generation), COMMIT))
        return Outcome({}, self._removed(actions, rows[len(conditions) :]))

    def generation(self, partition: str) -> StatementSteps[int]:
        """Reads the generation of a partition."""
        return _generation_of((yield self._generation(partition)))

    def invalidate(self, entry: Entry) -> BatchSteps[bool]:
        """Starts a new generation of the partition of an entry's item, if the item does not have the indexed key.

        No transaction that wrote the entry earlier can commit afterwards.

        Returns:
            Whether the entry is stale; otherwise nothing was changed.
        """
        index = self.indexes[entry.table]
        partition, sort = entry.holder
        key = {index.table.partition_key: partition, index.table.sort_key: sort}
        *_, rows = yield Batch((*self._begin(partition), index.read_entry(key)))
        current = index.entry_of(key, rows)
        is_stale = current is None or current.value != entry.value
        if is_stale:
            yield Statement(
                f"INSERT INTO {self.schema}.generations AS old VALUES ({CATALOG}.digest(%s), 1) "  # noqa: S608 (names of the schema)
                "ON CONFLICT (partition) DO UPDATE SET generation = old.generation + 1",
                (partition,),
            )
        yield COMMIT
        return is_stale

    def _recorded(self, failures: Failures, token: str) -> StatementSteps[Outcome]:
        """Returns the outcome of a transaction that was executed before."""
        text = f"SELECT is_committed FROM {self.schema}.tokens WHERE token = %s"  # noqa: S608 (a name of the schema)
        ((is_committed,),) = yield Statement(text, (token,))
        yield _ROLLBACK
        if not is_committed and not failures:
            raise ConflictError("a transaction was repeated after it had failed on its conditions", code=REPEATED)
        return Outcome({} if is_committed else failures)

    def _is_put(self, actions: Sequence[Action]) -> TypeGuard[Sequence[Put]]:
        return can_put(actions) and not any(action.table.name in self.indexes for action in actions)

    def _indexed(self, actions: Sequence[Action]) -> list[tuple[GlobalIndex, Put | Delete]]:
        """Returns the puts and deletes on tables with a global index."""
        return [
            (self.indexes[action.table.name], action)
            for action in actions
            if action.table.name in self.indexes and not isinstance(action, Check)
        ]

    def _entry_reads(self, actions: Sequence[Action]) -> list[Statement]:
        return [index.read_entry(key_of(action)) for index, action in self._indexed(actions)]

    def _removed(self, actions: Sequence[Action], found: Sequence[Sequence[Row]]) -> list[Entry]:
        """Returns the index entries that no item names after a transaction, from the rows of ``_entry_reads``."""
        removed: list[Entry] = []
        for (index, action), rows in zip(self._indexed(actions), found, strict=True):
            old = index.entry_of(key_of(action), rows)
            if old is not None and not (isinstance(action, Put) and action.item.get(index.key) == old.value):
                removed.append(old)
        return removed

    def _writes(self, actions: Sequence[Action], token: str, generation: int | None) -> list[Statement]:
        entry = entry_token(token, generation)
        puts = [(index, action) for index, action in self._indexed(actions) if isinstance(action, Put)]
        return [
            *self.sql.writes(actions),
            *(index.set_entry(key_of(action), entry) for index, action in puts),
            *([self._prune()] if token.startswith(_PRUNING) else []),
        ]

    def _begin(self, partition: str) -> tuple[Statement, Statement]:
        """Returns the start of a transaction that has a partition locked."""
        return Statement(POSTGRESQL.begin), Statement(lock_partition(self.schema), (_lock_of(partition),))

    def _generation(self, partition: str) -> Statement:
        text = f"SELECT generation FROM {self.schema}.generations WHERE partition = {CATALOG}.digest(%s)"  # noqa: S608 (names of the schema)
        return Statement(text, (partition,))

    def _record_failure(self, token: str) -> Statement:
        text = f"UPDATE {self.schema}.tokens SET is_committed = false WHERE token = %s"  # noqa: S608 (a name of the schema)
        return Statement(text, (token,))

    def _insert_token(self, token: str) -> Statement:
        text = f"INSERT INTO {self.schema}.tokens (token, is_committed) VALUES (%s, true)"  # noqa: S608 (a name of the schema)
        return Statement(f"{text} ON CONFLICT DO NOTHING RETURNING 1", (token,))

    def _prune(self) -> Statement:
        """Returns the statement that deletes old tokens which no other transaction deletes."""
        return Statement(
            f"DELETE FROM {self.schema}.tokens WHERE token IN (SELECT token FROM {self.schema}.tokens "  # noqa: S608 (a name of the schema)
            f"WHERE created < now() - interval '{_LIFETIME}' LIMIT {_MAX_PRUNED} FOR UPDATE SKIP LOCKED)"
        )


def entry_token(token: str, generation: int | None) -> str:
    """Returns the token of the index entries that a transaction writes in a generation of its partition."""
    return f"{generation or 0}.{token}"


def _lock_of(partition: str) -> int:
    """Returns the key of the lock of a partition. Partitions with equal keys share a lock, which is harmless."""
    return int.from_bytes(sha256(partition.encode()).digest()[8:16], "big", signed=True)


def _generation_of(rows: Sequence[Row]) -> int:
    return rows[0][0] if rows else 0


def _short(name: str) -> str:
    return name.rpartition(".")[2]
