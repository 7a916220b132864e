"""A pool of connections to one server, for one event loop: see ``pool``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import psycopg

from ...core.deadline import Deadline
from ...core.runner import drive_async
from .connection import (
    OPTIONS,
    PING_SECONDS,
    AsyncConnection,
    DeadlineExceededError,
    abandon,
    configure,
    connecting_until,
    is_alive,
    is_idle,
    is_in_transaction,
    is_stale,
)
from .errors import connection_failure_of
from .failures import CLOSED, NO_ANSWER, Failure, Kind, exhausted
from .pool import PING, ROLLBACK, failure_on
from .requests import OnServer
from .shard_map import Server


class AsyncPool:
    """At most ``size`` connections to a server; idle ones are reused, the last one first.

    The connections are closed when the loop shuts down, or by ``aclose``.

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
        self._free = asyncio.BoundedSemaphore(size)
        self._idle: list[AsyncConnection] = []
        self._at_shutdown: AsyncGenerator[None] | None = None

    async def execute(self, request: OnServer, deadline: Deadline) -> Any:
        """Executes a request on a connection, and returns its result, or a ``Failure``."""
        try:
            async with asyncio.timeout(max(0.0, min(self._block_timeout, deadline.remaining()))):
                await self._free.acquire()
        except TimeoutError:
            return exhausted(self._size, self._server.name)
        try:
            return await self._execute(request, deadline)
        finally:
            self._free.release()

    async def _execute(self, request: OnServer, deadline: Deadline) -> Any:
        connection = await self._connect(deadline)
        if isinstance(connection, Failure):
            return connection
        connection.deadline, connection.reports_progress = deadline, request.reports_progress
        try:
            try:
                return await drive_async(request.steps(), connection.run)
            except psycopg.Error as error:
                failure = failure_on(connection, error)
                if is_in_transaction(connection) and failure.kind not in (Kind.UNAVAILABLE, Kind.EXPIRED):
                    await connection.run(ROLLBACK)
                return failure
        except (psycopg.Error, DeadlineExceededError) as error:
            return failure_on(connection, error)
        finally:
            await self._release(connection)

    async def _connect(self, deadline: Deadline) -> AsyncConnection | Failure:
        while self._idle:
            connection = self._idle.pop()
            if is_alive(connection) and (not is_stale(connection) or await _answers(connection, deadline)):
                return connection
            await connection.close()
        if self._is_closed:
            return CLOSED
        if self._at_shutdown is None:
            self._at_shutdown = self._close_at_shutdown()
            await anext(self._at_shutdown)
        token = connecting_until.set(deadline)
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining())):
                connection = await AsyncConnection.connect(self._server.conninfo, **OPTIONS)
        except psycopg.Error as error:
            return connection_failure_of(error)
        except (DeadlineExceededError, TimeoutError):
            return NO_ANSWER
        finally:
            connecting_until.reset(token)
        configure(connection)
        return connection

    async def _release(self, connection: AsyncConnection) -> None:
        connection.deadline = None
        if self._is_closed or not is_idle(connection):
            await connection.abort()
        else:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)

    async def aclose(self) -> None:
        """Closes the idle connections; those in use are closed when their calls end."""
        self._is_closed = True
        if self._at_shutdown is not None:
            await self._at_shutdown.aclose()

    async def _close_at_shutdown(self) -> AsyncGenerator[None]:
        """Closes the idle connections when it is closed: an event loop closes its generators when it shuts down."""
        try:
            yield
        finally:
            while self._idle:
                await self._idle.pop().close()

    def abandon(self) -> None:
        """Forgets all connections in the child of a fork: they are the parent's."""
        while self._idle:
            abandon(self._idle.pop())


async def _answers(connection: AsyncConnection, deadline: Deadline) -> bool:
    connection.deadline = Deadline(min(PING_SECONDS, max(0.0, deadline.remaining())))
    try:
        await connection.run(PING)
    except (psycopg.Error, DeadlineExceededError):
        return False
    return True
