"""The SQLite engine: carries operations out on a connection, and waits for locks no longer than the call's deadline."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final, TypeVar

from ...core.backoff import full_jitter
from ...core.deadline import Deadline
from ...core.operations import (
    Action,
    Check,
    DeleteMany,
    Failures,
    Get,
    Item,
    Key,
    Page,
    Query,
    Scan,
    StoreOperation,
    Table,
    Transact,
)
from ...exceptions import RefusedError, UnavailableError
from ..port import Administration
from ..sql import statements
from ..sql.conditions import holds
from .config import SQLiteConfig
from .connection_pool import Connections, FileConnections, process_memory
from .database_file import transaction
from .errors import is_transient, refusal

_FIRST_WAIT: Final = 0.002
_LONGEST_WAIT: Final = 0.05
_PAGE: Final = 1_000
"""Items that are read before the deadline starts anew, and keys that are deleted in one transaction."""

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]


class SQLiteEngine:
    """A SQLite database. Nothing is opened before it is used.

    Args:
        connections: Lends the connections.
        config: The configuration, for the deadline of opening.
    """

    attempt_seconds = 0.0

    def __init__(self, connections: Connections, config: SQLiteConfig) -> None:
        self.config = config
        self._connections = connections
        self._is_open = False

    def prepare(self) -> None:
        """Opens the store, and makes its tables where it is new.

        Raises:
            ConfigurationError: The file belongs to something else, or to a newer version of the package.
            RefusedError: The file cannot be opened.
            UnavailableError: Other processes had it locked until the deadline.
        """
        if not self._is_open:
            self._open()
            self._is_open = True

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation and returns its result.

        Raises:
            RefusedError: SQLite refuses: no such table, the disk is full, the file is read-only or damaged.
            UnavailableError: Other connections held the lock until the deadline.
        """
        match operation:
            case Get(table, key):
                statement = statements.get(table, key)
                return self.run(lambda connection: _read_one(connection, table, statement), operation, deadline)
            case Query():
                return self.run(lambda connection: _read_all(connection, operation, deadline), operation, deadline)
            case Scan():
                return self.run(lambda connection: _read_page(connection, operation), operation, deadline)
            case Transact(actions):
                return self.run(lambda connection: self._transact(connection, actions), operation, deadline)
            case DeleteMany():
                return self._delete_many(operation, deadline)

    def run(self, work: Work[Result], what: object, deadline: Deadline) -> Result:
        """Does some work on a connection, again where another connection is in the way; raises what ``execute`` does.

        Args:
            work: Is done as a whole or not at all.
            what: An operation, or what the work is in words, for messages.
            deadline: The call's.
        """
        connections = self._connections
        if deadline.remaining() <= 0:
            raise UnavailableError(f"{_name(what)} was not begun: {deadline.elapsed():.1f} s were over")
        tries = 0
        while True:
            try:
                connection = connections.borrow(deadline)
                try:
                    return work(connection)
                finally:
                    connections.give_back(connection)
            except sqlite3.Error as error:
                _await_another_try(error, tries, what, deadline)
            except OverflowError as error:
                raise RefusedError(f"{_name(what)} has a number of more than 64 bits", code="SQLITE_TOOBIG") from error
            tries += 1

    def administration(self) -> Administration:
        """Returns the administration of the tables."""
        from .administration import SQLiteAdministration

        return SQLiteAdministration(self)

    def close(self) -> None:
        """Closes the connections; a store in memory stays."""
        self._connections.close()

    def _open(self) -> None:
        deadline = Deadline(self.config.deadline)
        tries = 0
        while True:
            try:
                return self._connections.prepare()
            except sqlite3.Error as error:
                _await_another_try(error, tries, f"opening {self.config.path}", deadline)
            tries += 1

    def _delete_many(self, operation: DeleteMany, deadline: Deadline) -> None:
        table, keys = operation.table, operation.keys
        for start in range(0, len(keys), _PAGE):
            page = keys[start : start + _PAGE]
            try:
                self.run(lambda connection, page=page: self._delete(connection, table, page), operation, deadline)  # type: ignore[misc]
            except UnavailableError as error:
                raise UnavailableError(f"{error}; {len(keys) - start} of {len(keys)} items are left") from error
            deadline.progress()

    def _transact(self, connection: sqlite3.Connection, actions: Sequence[Action]) -> Failures:
        with transaction(connection):
            self._connections.check()
            failures: dict[int, Item | None] = {}
            for place, action in enumerate(actions):
                if action.condition is not None:
                    old = _read_one(connection, action.table, statements.old_item(action))
                    if not holds(action.condition, old):
                        failures[place] = old
            if not failures:
                for action in actions:
                    if not isinstance(action, Check):
                        connection.execute(*statements.write(action))
        return failures

    def _delete(self, connection: sqlite3.Connection, table: Table, keys: Sequence[Key]) -> None:
        with transaction(connection):
            self._connections.check()
            for key in keys:
                connection.execute(*statements.delete(table, key))


def open_sqlite(config: SQLiteConfig) -> SQLiteEngine:
    """Returns the engine of a file, or of the one store in memory that the process has."""
    return SQLiteEngine(process_memory(config.memory) if config.path is None else FileConnections(config.path), config)


def _await_another_try(error: sqlite3.Error, tries: int, what: object, deadline: Deadline) -> None:
    """Waits after an error that another connection is the cause of; raises the package's for any other, or too late."""
    if not is_transient(error):
        raise refusal(error, _name(what)) from error
    delay = min(full_jitter(_FIRST_WAIT, tries, _LONGEST_WAIT, random.random), deadline.remaining())
    if delay <= 0:
        raise UnavailableError(
            f"{_name(what)} waited {deadline.elapsed():.1f} s for the lock of another writer"
        ) from error
    time.sleep(delay)


def _read_one(connection: sqlite3.Connection, table: Table, statement: statements.Statement) -> Item | None:
    decode = statements.decoder(table)
    with _asked(connection, statement) as cursor:
        for row in cursor.fetchall():
            return decode(row)
    return None


def _read_all(connection: sqlite3.Connection, operation: Query, deadline: Deadline) -> list[Item]:
    items: list[Item] = []
    decode = statements.decoder(operation.table)
    with _asked(connection, statements.query(operation)) as cursor:
        while page := [decode(row) for row in cursor.fetchmany(_PAGE)]:
            items += page
            deadline.progress()
    return items


def _read_page(connection: sqlite3.Connection, operation: Scan) -> Page:
    decode = statements.decoder(operation.table)
    with _asked(connection, statements.scan(operation)) as cursor:
        rows = cursor.fetchall()
    items = tuple(decode(row) for row in rows[: operation.limit])
    return Page(items, operation.table.key_of(items[-1]) if len(rows) > operation.limit else None)


def _asked(connection: sqlite3.Connection, statement: statements.Statement) -> closing[sqlite3.Cursor]:
    """Begins to read. A reader that is interrupted and left open would keep the connection at an old snapshot."""
    return closing(connection.execute(*statement))


def _name(what: object) -> str:
    match what:
        case Get(table=table) | Query(table=table) | Scan(table=table) | DeleteMany(table=table):
            return f"{type(what).__name__} on {table.name}"
        case Transact(actions):
            return f"Transact on {', '.join(sorted({action.table.name for action in actions}))}"
        case _:
            return str(what)
