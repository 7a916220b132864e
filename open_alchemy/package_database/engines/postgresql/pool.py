"""A pool of connections to one server, for threads. The call that needs a connection opens it, within its deadline.

psycopg_pool connects in threads of its own: a call would learn neither why a server cannot be reached nor that a
password is wrong before its wait for a connection ended, and the threads do not survive a fork.
"""

from __future__ import annotations

import time
import weakref
from typing import Any, Final

import psycopg

from ...core.deadline import Deadline
from ...core.runner import drive
from ..sql.statements import Statement
from .connection import (
    OPTIONS,
    PING_SECONDS,
    AsyncConnection,
    DeadlineExceededError,
    SyncConnection,
    abandon,
    configure,
    connecting_until,
    is_alive,
    is_idle,
    is_in_transaction,
    is_stale,
)
from .errors import connection_failure_of, failure_of
from .failures import CLOSED, COMMIT_UNANSWERED, NO_ANSWER, Failure, Kind, exhausted
from .fair_semaphore import FairSemaphore
from .requests import OnServer
from .shard_map import Server

PING: Final = Statement("SELECT 1")
ROLLBACK: Final = Statement("ROLLBACK")


class Pool:
    """At most ``size`` connections to a server; idle ones are reused, the last one first.

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
        self._free = FairSemaphore(size)
        self._idle: list[SyncConnection] = []
        weakref.finalize(self, _close_all, self._idle)

    def execute(self, request: OnServer, deadline: Deadline) -> Any:
        """Executes a request on a connection, and returns its result, or a ``Failure``."""
        if not self._free.acquire(timeout=max(0.0, min(self._block_timeout, deadline.remaining()))):
            return exhausted(self._size, self._server.name)
        try:
            return self._execute(request, deadline)
        finally:
            self._free.release()

    def _execute(self, request: OnServer, deadline: Deadline) -> Any:
        connection = self._connect(deadline)
        if isinstance(connection, Failure):
            return connection
        connection.deadline, connection.reports_progress = deadline, request.reports_progress
        try:
            try:
                return drive(request.steps(), connection.run)
            except psycopg.Error as error:
                failure = failure_on(connection, error)
                if is_in_transaction(connection) and failure.kind not in (Kind.UNAVAILABLE, Kind.EXPIRED):
                    connection.run(ROLLBACK)
                return failure
        except (psycopg.Error, DeadlineExceededError) as error:
            return failure_on(connection, error)
        finally:
            self._release(connection)

    def _connect(self, deadline: Deadline) -> SyncConnection | Failure:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break  # Another thread took the last one.
            if is_alive(connection) and (not is_stale(connection) or _answers(connection, deadline)):
                return connection
            connection.close()
        if self._is_closed:
            return CLOSED
        token = connecting_until.set(deadline)
        try:
            connection = SyncConnection.connect(self._server.conninfo, **OPTIONS)
        except psycopg.Error as error:
            return connection_failure_of(error)
        except DeadlineExceededError:
            return NO_ANSWER
        finally:
            connecting_until.reset(token)
        configure(connection)
        return connection

    def _release(self, connection: SyncConnection) -> None:
        connection.deadline = None
        if self._is_closed or not is_idle(connection):
            connection.abort()
        else:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)

    def close(self) -> None:
        """Closes the idle connections; those in use are closed when their calls end."""
        self._is_closed = True
        _close_all(self._idle)

    def after_fork_in_child(self) -> None:
        """Forgets all connections: they are the parent's."""
        for connection in self._idle:
            abandon(connection)
        self._idle.clear()
        self._free = FairSemaphore(self._size)


def failure_on(connection: SyncConnection | AsyncConnection, error: psycopg.Error | DeadlineExceededError) -> Failure:
    """Returns the failure that an error of a request means."""
    if connection.is_late or isinstance(error, DeadlineExceededError):
        return COMMIT_UNANSWERED if connection.is_committing else NO_ANSWER
    return failure_of(error)


def _answers(connection: SyncConnection, deadline: Deadline) -> bool:
    connection.deadline = Deadline(min(PING_SECONDS, max(0.0, deadline.remaining())))
    try:
        connection.run(PING)
    except (psycopg.Error, DeadlineExceededError):
        return False
    return True


def _close_all(connections: list[SyncConnection]) -> None:
    while connections:
        connections.pop().close()
