"""The SQLite engine: executes operations on a connection, and waits for locks no longer than the call's deadline."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from ...core.backoff import full_jitter
from ...core.deadline import Deadline
from ...core.operations import Get, Query, Scan, StoreOperation, Table, Transact
from ...core.runner import drive
from ...exceptions import RefusedError, UnavailableError
from .. import telemetry
from ..port import Administration
from ..randomness import random
from ..sql.execution import SQLExecution
from ..sql.statements import Row, Statement
from . import statement_execution
from .config import SQLiteConfig
from .connection_pool import ConnectionPool, FilePool, MemoryPool, Work, process_memory
from .dialect import SQLITE
from .errors import code_of, is_conflict, is_transient, translate

_FIRST_WAIT: Final = 0.002
_MAX_WAIT: Final = 0.05

Result = TypeVar("Result")


def _ignore() -> None:
    """Reports no progress."""


class SQLiteEngine:
    """A SQLite database. Nothing is opened before it is used.

    Args:
        pool: Lends the connections.
        config: The configuration, for the deadline of opening.
        tables: The tables.
    """

    attempt_seconds = 0.0

    def __init__(self, pool: ConnectionPool, config: SQLiteConfig, tables: Sequence[Table]) -> None:
        self.config = config
        self.sql = SQLExecution(tables, SQLITE)
        self._pool = pool
        self._is_prepared = False
        self._is_closed = False

    def prepare(self) -> None:
        """Opens the store, and creates its tables where it is new.

        Raises:
            ConfigurationError: The file belongs to another program, or to a newer version of the package.
            RefusedError: The file cannot be opened, or the engine was closed.
            UnavailableError: Other processes had it locked until the deadline.
        """
        self._check_open()
        if not self._is_prepared:
            deadline = Deadline(self.config.deadline)
            _retry(lambda: self._pool.prepare(deadline), f"opening {self.config.path}", deadline)
            self._is_prepared = True

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result.

        Raises:
            RefusedError: SQLite refuses: no such table, the disk is full, the file is read-only or damaged. Or the
                engine was closed.
            ConflictError: Another item has the same key of a unique index.
            UnavailableError: Other connections held the lock until the deadline.
        """
        progress = deadline.progress if isinstance(operation, Query) else _ignore
        work = partial(self._perform, operation=operation, progress=progress)
        if not telemetry.is_active():
            return self.run(work, operation, deadline)
        with self._request(operation) as request:
            return self.run(work, operation, deadline, request)

    def run(
        self,
        work: Work[Result],
        what: StoreOperation | str,
        deadline: Deadline,
        request: telemetry.Request | None = None,
    ) -> Result:
        """Calls ``work`` with a connection, again where another connection is in the way; raises what ``execute`` does.

        Args:
            work: Has its full effect or none.
            what: What the work is, for messages.
            deadline: The call's.
            request: Logs and traces the attempts.
        """
        self._check_open()
        if deadline.remaining() <= 0:
            seconds = deadline.elapsed()
            raise UnavailableError(
                f"{_name(what)}: deadline exceeded before it started ({seconds:.1f} s)", seconds=seconds
            )
        return _retry(partial(self._pool.use, work, deadline), what, deadline, request)

    def administration(self) -> Administration:
        """Returns the administration of the tables."""
        from .administration import SQLiteAdministration

        return SQLiteAdministration(self)

    def close(self) -> None:
        """Closes the connections, for good; the content of a store in memory is kept."""
        self._is_closed = True
        self._pool.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise RefusedError("the database was closed", code="Closed")

    def _request(self, operation: StoreOperation) -> telemetry.Request:
        # The text contains no value; a transaction has no single text.
        is_read = not isinstance(operation, Transact)
        text = next(self.sql.steps(operation)).text if is_read and telemetry.is_traced() else ""
        return _request(operation, {"db.query.text": text} if text else {})

    def _perform(
        self, connection: sqlite3.Connection, operation: StoreOperation, progress: Callable[[], None] = _ignore
    ) -> Any:
        def execute(statement: Statement) -> list[Row]:
            found = statement_execution.execute(connection, statement, progress)
            if statement is self.sql.begin:
                self._pool.check_identity()
            return found

        try:
            return drive(self.sql.steps(operation), execute)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def open_sqlite(config: SQLiteConfig, tables: Sequence[Table]) -> SQLiteEngine:
    """Returns the engine of a file, or of a store in memory, which exists once per process and name."""
    pool = process_memory(config.memory, tables) if config.path is None else FilePool(config.path, tables)
    return SQLiteEngine(pool, config, tables)


def open_memory(config: SQLiteConfig, tables: Sequence[Table]) -> SQLiteEngine:
    """Returns the engine of a new store in memory, which nothing else uses."""
    return SQLiteEngine(MemoryPool(tables), config, tables)


def _retry(
    attempt: Callable[[], Result],
    what: StoreOperation | str,
    deadline: Deadline,
    request: telemetry.Request | None = None,
) -> Result:
    """Calls ``attempt`` until no other connection is in the way; raises the package's errors."""
    start = deadline.elapsed()
    for number in count(1):
        try:
            result = attempt()
        except sqlite3.Error as error:
            delay = _delay(error, number, deadline)
            _log_failure(error, what, request, number, deadline.elapsed() - start, is_last=delay <= 0)
            if delay <= 0:
                raise translate(error, _name(what), attempts=number, seconds=deadline.elapsed()) from error
        else:
            if request is not None:
                request.attempt(number, deadline.elapsed() - start)
            return result
        time.sleep(delay)
        start = deadline.elapsed()
    raise AssertionError("count() has no end")


def _log_failure(
    error: sqlite3.Error,
    what: StoreOperation | str,
    request: telemetry.Request | None,
    number: int,
    seconds: float,
    *,
    is_last: bool,
) -> None:
    """Logs a failed attempt. Waiting for a lock is a problem only if it was in vain; a duplicate key is none."""
    is_problem = is_last and not is_conflict(error)
    if request is None and is_problem and not isinstance(what, str):
        request = _request(what, {})
    if request is not None:
        request.attempt(number, seconds, code=code_of(error), is_problem=is_problem)


def _delay(error: sqlite3.Error, attempts: int, deadline: Deadline) -> float:
    """Returns the seconds until the next attempt; 0 if there is none."""
    if not is_transient(error):
        return 0
    return max(0, min(full_jitter(_FIRST_WAIT, attempts - 1, _MAX_WAIT, random), deadline.remaining()))


def _request(operation: StoreOperation, attributes: Mapping[str, str]) -> telemetry.Request:
    action, tables = _describe(operation)
    return telemetry.Request("sqlite", action, tables, attributes=attributes)


def _name(what: StoreOperation | str) -> str:
    return what if isinstance(what, str) else " on ".join(_describe(what))


def _describe(operation: StoreOperation) -> tuple[str, str]:
    """Returns the name of an operation and its tables."""
    match operation:
        case Transact(actions):
            return "Transact", ", ".join(sorted({action.table.name for action in actions}))
        case Get(table=table) | Query(table=table) | Scan(table=table):
            return type(operation).__name__, table.name
