"""Operations as generators that yield statements and receive their rows.

A driver, synchronous or asynchronous, executes each statement and sends its rows back. A transaction starts with
``begin``. Where a statement fails, the driver rolls back.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from ...core.operations import (
    REPEATED,
    Action,
    Check,
    Delete,
    Failures,
    Get,
    Item,
    Key,
    Page,
    Put,
    Query,
    Scan,
    StoreOperation,
    Table,
    Transact,
)
from ...exceptions import ConflictError
from . import idempotency_tokens
from .conditions import holds
from .dialect import Dialect
from .idempotency_tokens import Outcome
from .statements import Row, Statement, TableStatements

Result = TypeVar("Result")
StatementSteps: TypeAlias = Generator[Statement, Sequence[Row], Result]

COMMIT: Final = Statement("COMMIT")


class SQLExecution:
    """The operations on the tables of one database, or of one schema in it.

    Args:
        tables: The tables.
        dialect: The dialect.
        schema: The SQL schema that contains the tables; empty for the default one.

    Attributes:
        begin: The statement that starts a transaction.
    """

    def __init__(self, tables: Sequence[Table], dialect: Dialect, schema: str = "") -> None:
        self.begin: Final = Statement(dialect.begin)
        self._tables: Mapping[str, TableStatements] = {
            table.name: TableStatements(table, dialect, schema) for table in tables
        }

    def of(self, table: Table) -> TableStatements:
        """Returns the statements of a table."""
        return self._tables[table.name]

    def steps(self, operation: StoreOperation) -> StatementSteps[Any]:
        """Executes an operation, and returns its result.

        Raises:
            RefusedError: An item cannot be stored in the columns of its table, or a stored key is damaged.
        """
        match operation:
            case Get(table, key):
                return self._get(table, key)
            case Query():
                return self._query(operation)
            case Scan():
                return self._scan(operation)
            case Transact(actions, token, is_repeatable):
                return self._transact(actions, token if is_repeatable else "")

    def _get(self, table: Table, key: Key) -> StatementSteps[Item | None]:
        rows = yield self.of(table).get(key)
        return self._item(table, rows)

    def _query(self, operation: Query) -> StatementSteps[Sequence[Item]]:
        statements = self.of(operation.table)
        rows = yield statements.query(operation)
        return statements.items(operation, rows)

    def _scan(self, operation: Scan) -> StatementSteps[Page]:
        statements = self.of(operation.table)
        rows = yield statements.scan(operation)
        items = tuple(map(statements.item, rows[: operation.limit]))
        return Page(items, statements.key_of(items[-1]) if len(rows) > operation.limit else None)

    def _transact(self, actions: Sequence[Action], token: str) -> StatementSteps[Failures]:
        """Executes a transaction, and records its token, if it has one, with it."""
        yield self.begin
        recorded = yield from idempotency_tokens.recorded(token)
        if recorded is Outcome.COMMITTED:
            yield COMMIT
            return {}
        found: list[Sequence[Row]] = []
        for statement in self.reads(actions):
            found.append((yield statement))  # noqa: PERF401 (a generator must yield here)
        failures = self.failures(actions, found)
        if recorded is Outcome.FAILED and not failures:
            raise ConflictError("a transaction was repeated after it had failed on its conditions", code=REPEATED)
        for statement in () if failures else self.writes(actions):
            yield statement
        if token and recorded is None:
            yield idempotency_tokens.record(token, is_committed=not failures)
        yield COMMIT
        return failures

    def reads(self, actions: Sequence[Action]) -> list[Statement]:
        """Returns the statements that read and lock the items of the actions with conditions."""
        return [
            self.of(action.table).get(key_of(action), for_update=True)
            for action in actions
            if action.condition is not None
        ]

    def failures(self, actions: Sequence[Action], found: Sequence[Sequence[Row]]) -> Failures:
        """Returns the actions whose conditions do not hold for the rows that ``reads`` found."""
        failures: dict[int, Item | None] = {}
        rows = iter(found)
        for place, action in enumerate(actions):
            if action.condition is not None:
                old = self._item(action.table, next(rows))
                if not holds(action.condition, old):
                    failures[place] = old
        return failures

    def writes(self, actions: Sequence[Action]) -> list[Statement]:
        """Returns the statements of the puts and deletes."""
        return [self._write(action) for action in actions if not isinstance(action, Check)]

    def _item(self, table: Table, rows: Sequence[Row]) -> Item | None:
        return self.of(table).item(rows[0]) if rows else None

    def _write(self, action: Put | Delete) -> Statement:
        statements = self.of(action.table)
        return statements.put(action.item) if isinstance(action, Put) else statements.delete(action.key)


def key_of(action: Action) -> Key:
    """Returns the primary key of the item of an action."""
    return action.table.key_of(action.item) if isinstance(action, Put) else action.key
