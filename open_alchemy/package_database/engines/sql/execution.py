"""Operations as generators that yield statements and receive their rows.

A driver, synchronous or asynchronous, executes each statement and sends its rows back. A transaction starts with
``begin``. Where a statement fails, the driver rolls back.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from ...core.operations import (
    Action,
    Check,
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
from .conditions import holds
from .dialect import Dialect
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
            case Transact(actions):
                return self._transact(actions)

    def _get(self, table: Table, key: Key, *, for_update: bool = False) -> StatementSteps[Item | None]:
        statements = self.of(table)
        rows = yield statements.get(key, for_update=for_update)
        return statements.item(rows[0]) if rows else None

    def _query(self, operation: Query) -> StatementSteps[list[Item]]:
        statements = self.of(operation.table)
        rows = yield statements.query(operation)
        return list(map(statements.item, rows))

    def _scan(self, operation: Scan) -> StatementSteps[Page]:
        statements = self.of(operation.table)
        rows = yield statements.scan(operation)
        items = tuple(map(statements.item, rows[: operation.limit]))
        return Page(items, statements.key_of(items[-1]) if len(rows) > operation.limit else None)

    def _transact(self, actions: Sequence[Action]) -> StatementSteps[Failures]:
        yield self.begin
        failures = yield from self.failures(actions)
        if not failures:
            yield from self.write(actions)
        yield COMMIT
        return failures

    def failures(self, actions: Sequence[Action]) -> StatementSteps[Failures]:
        """Locks the items that have conditions, and returns those whose conditions do not hold."""
        failures: dict[int, Item | None] = {}
        for place, action in enumerate(actions):
            if action.condition is not None:
                old = yield from self._get(action.table, key_of(action), for_update=True)
                if not holds(action.condition, old):
                    failures[place] = old
        return failures

    def write(self, actions: Sequence[Action]) -> StatementSteps[None]:
        """Executes the puts and deletes, inside a transaction."""
        for action in actions:
            if not isinstance(action, Check):
                yield self._write(action)

    def _write(self, action: Action) -> Statement:
        statements = self.of(action.table)
        return statements.put(action.item) if isinstance(action, Put) else statements.delete(action.key)


def key_of(action: Action) -> Key:
    """Returns the primary key of the item of an action."""
    return action.table.key_of(action.item) if isinstance(action, Put) else action.key
