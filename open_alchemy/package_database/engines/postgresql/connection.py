"""Connections whose waits end at the deadline of a call.

psycopg's protocol is a generator that yields when it must wait, and a wait returns to it at least every 0.1 s. The
deadline is checked there, once for both APIs.

Also defines what every connection has: an unlimited number of prepared statements, because each shard has its own, and
binary values that are read as ``Secret``.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Generator
from contextlib import suppress
from contextvars import ContextVar
from logging import Logger
from typing import Any, ClassVar, Final

import psycopg
from psycopg import waiting
from psycopg.adapt import Loader
from psycopg.pq import Format, TransactionStatus
from psycopg.rows import tuple_row

from ...core.deadline import Deadline
from ...core.secret import Secret
from ..sql.execution import COMMIT
from ..sql.statements import Row, Statement
from .io_requests import Batch
from .logged_cursors import LoggedAsyncCursor, LoggedAsyncServerCursor, LoggedCursor, LoggedServerCursor, named_row
from .put_statement import PREFIX

_INTERVAL: Final = 0.1
_Selector: Final[Any] = getattr(selectors, "PollSelector", selectors.SelectSelector)
_CANCEL_SECONDS: Final = 0.2
PING_AFTER: Final = 60.0
"""Seconds of idleness after which a connection is tested before its use."""
PING_SECONDS: Final = 1.0
OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    "client_encoding": "utf8",
    "fallback_application_name": "package-database",
}

RESET_SESSION: Final = Statement(
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP"
)
"""DISCARD ALL without DEALLOCATE ALL: the statements that the pool prepared stay."""

connecting_until: ContextVar[Deadline | None] = ContextVar("connecting_until", default=None)
"""The deadline of the call that opens a connection."""


class DeadlineExceededError(Exception):
    """The deadline was exceeded while the connection waited for the server."""


def _bounded(steps: Generator[Any, Any, Any], deadline: Deadline | None, state: _CallState | None = None) -> Any:
    """Runs psycopg's generator until the deadline."""
    if deadline is None:
        return (yield from steps)
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if state is not None and state.reports_progress and ready & waiting.Ready.R:
                deadline.progress()
            if deadline.remaining() <= 0:
                if state is not None:
                    state.is_late = True
                raise DeadlineExceededError
            wanted = steps.send(ready)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


class _CallState:
    """The state of a connection while a call uses it.

    Attributes:
        deadline: The deadline of the call; None outside of calls.
        reports_progress: Whether each received part of a result restarts the deadline.
        idle_since: The monotonic time of its last use.
        is_late: Whether the deadline was exceeded: psycopg may raise another error when it leaves a pipeline then.
        is_committing: Whether the last request commits a transaction.
        logger: Logs the statements of a caller who has the connection.
        pool: The pool from which a caller checked it out; None if none did.
    """

    # psycopg does not warn about such a connection when it is deleted.
    _pool: ClassVar[Any] = None
    deadline: Deadline | None = None
    reports_progress = False
    idle_since = 0.0
    is_late = False
    is_committing = False
    logger: Logger | None = None
    pool: Any = None


class SyncConnection(_CallState, psycopg.Connection[Row]):
    """A connection for threads."""

    def wait(self, gen: Any, interval: float = _INTERVAL, timeout: float | None = None) -> Any:
        """Waits until the deadline."""
        del timeout  # Only methods that no call uses have one.
        steps = _bounded(gen, self.deadline, self)
        return waiting.wait(steps, self.pgconn.socket, interval=interval)

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> Any:
        steps = super()._connect_gen(conninfo, **options)
        return _bounded(steps, connecting_until.get())

    def run(self, request: Statement | Batch) -> list[Any]:
        """Executes a statement and returns its rows; or a batch, and returns the rows of each statement."""
        self.is_committing = _commits(request)
        if isinstance(request, Statement):
            cursor = self.execute(request.text, request.parameters or None, **_options(request))
            return cursor.fetchall() if cursor.description else []
        with self.pipeline():
            cursors = [self.execute(text, parameters or None, binary=True) for text, parameters in request.statements]
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def use_named_rows(self) -> None:
        """Makes cursors for a caller; see ``named_row``."""
        self.row_factory = named_row
        if self.logger is not None:
            self.cursor_factory, self.server_cursor_factory = LoggedCursor, LoggedServerCursor

    def use_plain_rows(self) -> None:
        """Makes cursors for the package."""
        self.row_factory = tuple_row
        self.cursor_factory, self.server_cursor_factory = psycopg.Cursor, psycopg.ServerCursor

    def abort(self) -> None:
        """Cancels the statement on the server, and closes the connection."""
        self.deadline = None
        try:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.cancel_safe(timeout=_CANCEL_SECONDS)
        except psycopg.Error:
            pass  # The server ends the statement when it notices that the connection is closed.
        finally:
            self.close()


class AsyncConnection(_CallState, psycopg.AsyncConnection[Row]):
    """A connection for one event loop."""

    async def wait(self, gen: Any, interval: float = _INTERVAL, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Waits until the deadline."""
        del timeout  # Only methods that no call uses have one.
        steps = _bounded(gen, self.deadline, self)
        return await waiting.wait_async(steps, self.pgconn.socket, interval=interval)

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> Any:
        steps = super()._connect_gen(conninfo, **options)
        return _bounded(steps, connecting_until.get())

    async def run(self, request: Statement | Batch) -> list[Any]:
        """Executes a statement and returns its rows; or a batch, and returns the rows of each statement."""
        self.is_committing = _commits(request)
        if isinstance(request, Statement):
            cursor = await self.execute(request.text, request.parameters or None, **_options(request))
            return await cursor.fetchall() if cursor.description else []
        async with self.pipeline():
            cursors = [
                await self.execute(text, parameters or None, binary=True) for text, parameters in request.statements
            ]
        return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def use_named_rows(self) -> None:
        """Makes cursors for a caller; see ``named_row``."""
        self.row_factory = named_row
        if self.logger is not None:
            self.cursor_factory, self.server_cursor_factory = LoggedAsyncCursor, LoggedAsyncServerCursor

    def use_plain_rows(self) -> None:
        """Makes cursors for the package."""
        self.row_factory = tuple_row
        self.cursor_factory, self.server_cursor_factory = psycopg.AsyncCursor, psycopg.AsyncServerCursor

    async def abort(self) -> None:
        """Cancels the statement on the server, and closes the connection."""
        self.deadline = None
        try:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self.cancel_safe(timeout=_CANCEL_SECONDS)
        except psycopg.Error:
            pass  # See SyncConnection.abort.
        finally:
            await self.close()


class _SecretLoader(Loader):
    format = Format.BINARY

    def load(self, data: Any) -> Secret:
        return Secret(data)


def configure(connection: SyncConnection | AsyncConnection) -> None:
    """Prepares a new connection."""
    connection.prepared_max = None
    connection.adapters.register_loader("bytea", _SecretLoader)


def is_in_transaction(connection: SyncConnection | AsyncConnection) -> bool:
    """Returns whether a failed statement left a transaction open, which can be rolled back."""
    return connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)


def is_idle(connection: SyncConnection | AsyncConnection) -> bool:
    """Returns whether another call can use a connection."""
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def _has_input(connection: SyncConnection | AsyncConnection) -> bool:
    """Returns whether an idle connection received something, such as its end after a restart of the server."""
    with _Selector() as selector:
        selector.register(connection.pgconn.socket, selectors.EVENT_READ)
        return bool(selector.select(0))


def is_alive(connection: SyncConnection | AsyncConnection) -> bool:
    """Returns whether an idle connection seems to be open, without a request."""
    return not connection.closed and not _has_input(connection)


def is_stale(connection: SyncConnection | AsyncConnection) -> bool:
    """Returns whether a connection was idle for so long that a firewall may have dropped it."""
    return time.monotonic() - connection.idle_since > PING_AFTER


def abandon(connection: SyncConnection | AsyncConnection) -> None:
    """Closes the socket of a connection in the child of a fork, without a message to the server."""
    with suppress(OSError, psycopg.Error):
        os.close(connection.pgconn.socket)


def _options(statement: Statement) -> dict[str, Any]:
    # Without parameters, a statement may consist of several, which can neither be prepared nor return binary values.
    return {"binary": True} if statement.parameters else {"prepare": False}


def _commits(request: Statement | Batch) -> bool:
    last = request if isinstance(request, Statement) else request.statements[-1]
    return last == COMMIT or last.text.startswith(PREFIX)
