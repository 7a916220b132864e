"""What the pools for threads and for an event loop decide. No I/O.

The methods are generators: they yield calls, such as ``partial(connection.run, statement)``, and receive their results.
A pool executes each call, or awaits what it returns, and throws its errors into the generator.

psycopg_pool is not used: docs/postgresql.md has the reasons.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from functools import partial
from logging import Logger
from typing import Any, Final, Generic, TypeAlias, TypeVar

import psycopg

from ...core.deadline import Deadline
from ..sql.statements import Statement
from .connection import (
    PING_SECONDS,
    RESET_SESSION,
    AsyncConnection,
    DeadlineExceededError,
    SyncConnection,
    abandon,
    is_alive,
    is_idle,
    is_in_transaction,
    is_stale,
)
from .errors import connection_failure_of, failure_of
from .io_requests import BatchSteps, OnServer
from .retry import CLOSED, COMMIT_UNANSWERED, NO_ANSWER, Failure, Kind, exhausted
from .shard_map_file import Server

_PING: Final = Statement("SELECT 1")
_ROLLBACK: Final = Statement("ROLLBACK")

Connection = TypeVar("Connection", SyncConnection, AsyncConnection)
Result = TypeVar("Result")
Call: TypeAlias = Callable[[], Any]
Calls: TypeAlias = Generator[Call, Any, Result]


class PoolCore(ABC, Generic[Connection]):
    """At most ``size`` connections to a server; idle ones are reused, the last one first.

    A subclass defines ``_wait`` and ``_connect``, which perform I/O.

    Args:
        server: The server.
        size: The most connections.
        block_timeout: The most seconds that a call waits for one.
    """

    def __init__(self, server: Server, size: int, block_timeout: float) -> None:
        self._server = server
        self._size = size
        self._block_timeout = block_timeout
        self._is_closed = False
        self._idle: list[Connection] = []

    @abstractmethod
    def _wait(self, seconds: float) -> Any:
        """Waits for a permit to use a connection; returns whether there was one in time."""

    @abstractmethod
    def _release_permit(self) -> None:
        """Returns a permit."""

    @abstractmethod
    def _connect(self, deadline: Deadline) -> Any:
        """Returns a new connection; raises ``psycopg.Error`` or ``DeadlineExceededError``."""

    def executing(self, request: OnServer, deadline: Deadline) -> Calls[Any]:
        """Executes a request on a connection, and returns its result, or a ``Failure``."""
        connection = yield from self._acquiring(deadline)
        if isinstance(connection, Failure):
            return connection
        connection.deadline, connection.reports_progress = deadline, request.reports_progress
        try:
            return (yield from _running(connection, request.steps()))
        finally:
            yield from self._releasing(connection)

    def checking_out(self, deadline: Deadline, logger: Logger | None) -> Calls[Connection | Failure]:
        """Returns a connection, which the caller must check in; or a ``Failure``.

        It has transactions, rows by name, and no deadline.
        """
        connection = yield from self._acquiring(deadline)
        if not isinstance(connection, Failure):
            connection.pool, connection.logger = self, logger
            connection.use_named_rows()
            try:
                yield partial(connection.set_autocommit, value=False)
            except BaseException:
                # psycopg lets other tasks run here at times, so the call may be cancelled.
                yield from self.checking_in(connection)
                raise
        return connection

    def checking_in(self, connection: Connection) -> Calls[None]:
        """Takes back a connection; rolls back its transaction, and resets its session."""
        connection.pool = connection.logger = None
        connection.deadline = Deadline(PING_SECONDS)
        try:
            yield from _resetting(connection)
        except (psycopg.Error, DeadlineExceededError):
            yield connection.close
        finally:
            yield from self._releasing(connection)

    def _acquiring(self, deadline: Deadline) -> Calls[Connection | Failure]:
        if not (yield partial(self._wait, max(0.0, min(self._block_timeout, deadline.remaining())))):
            return exhausted(self._size, self._server.name)
        connection: Connection | Failure | None = None
        try:
            connection = yield from self._opening(deadline)
        finally:
            if connection is None or isinstance(connection, Failure):
                self._release_permit()
        return connection

    def _opening(self, deadline: Deadline) -> Calls[Connection | Failure]:
        """Returns an idle connection that is open, or a new one."""
        while (connection := self._pop()) is not None:
            if is_alive(connection) and (not is_stale(connection) or (yield from _answering(connection, deadline))):
                return connection
            yield connection.close
        if self._is_closed:
            return CLOSED
        try:
            opened: Connection = yield partial(self._connect, deadline)
        except psycopg.Error as error:
            return connection_failure_of(error)
        except DeadlineExceededError:
            return NO_ANSWER
        return opened

    def _releasing(self, connection: Connection) -> Calls[None]:
        connection.deadline = None
        try:
            if self._is_closed or not is_idle(connection):
                yield connection.abort
            else:
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
        finally:
            self._release_permit()

    def _pop(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def abandon(self) -> None:
        """Forgets all connections in the child of a fork: they are the parent's."""
        while (connection := self._pop()) is not None:
            abandon(connection)


def _running(connection: Connection, steps: BatchSteps[Any]) -> Calls[Any]:
    try:
        try:
            rows: Any = None
            while True:
                try:
                    statement = steps.send(rows)
                except StopIteration as stop:
                    return stop.value
                rows = yield partial(connection.run, statement)
        except psycopg.Error as error:
            failure = _failure_on(connection, error)
            if is_in_transaction(connection) and failure.kind not in (Kind.UNAVAILABLE, Kind.EXPIRED):
                yield partial(connection.run, _ROLLBACK)
            return failure
    except (psycopg.Error, DeadlineExceededError) as error:
        return _failure_on(connection, error)


def _resetting(connection: Connection) -> Calls[None]:
    """Ends the transaction and the session state of a caller."""
    connection.use_plain_rows()
    if is_in_transaction(connection):
        yield connection.rollback
    yield partial(connection.set_autocommit, value=True)
    for set_default in (connection.set_isolation_level, connection.set_read_only, connection.set_deferrable):
        yield partial(set_default, None)
    yield partial(connection.run, RESET_SESSION)


def _answering(connection: Connection, deadline: Deadline) -> Calls[bool]:
    connection.deadline = Deadline(min(PING_SECONDS, max(0.0, deadline.remaining())))
    try:
        yield partial(connection.run, _PING)
    except (psycopg.Error, DeadlineExceededError):
        return False
    except BaseException:
        yield connection.close
        raise
    return True


def _failure_on(connection: Connection, error: psycopg.Error | DeadlineExceededError) -> Failure:
    """Returns the failure that an error of a request means."""
    if connection.is_late or isinstance(error, DeadlineExceededError):
        return COMMIT_UNANSWERED if connection.is_committing else NO_ANSWER
    return failure_of(error)
