"""A pool of connections to one server, for one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from logging import Logger
from typing import Any

import psycopg

from ...core.deadline import Deadline
from .connection import OPTIONS, AsyncConnection, DeadlineExceededError, configure, connecting_until
from .io_requests import OnServer
from .pool_core import Calls, PoolCore, Result
from .retry import Failure
from .shard_map_file import Server


class AsyncPool(PoolCore[AsyncConnection]):
    """See ``PoolCore``. The connections are closed when the loop shuts down, or by ``aclose``."""

    def __init__(self, server: Server, size: int, block_timeout: float) -> None:
        super().__init__(server, size, block_timeout)
        self._permits = asyncio.BoundedSemaphore(size)
        self._at_shutdown: AsyncGenerator[None] | None = None

    async def execute(self, request: OnServer, deadline: Deadline) -> Any:
        """Executes a request on a connection, and returns its result, or a ``Failure``."""
        return await _drive(self.executing(request, deadline))

    async def check_out(self, deadline: Deadline, logger: Logger | None) -> AsyncConnection | Failure:
        """Returns a connection, which the caller must check in; or a ``Failure``."""
        return await _drive(self.checking_out(deadline, logger))

    async def check_in(self, connection: AsyncConnection) -> None:
        """Takes back a connection of ``check_out``."""
        await _drive(self.checking_in(connection))

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

    async def _wait(self, seconds: float) -> bool:
        if not self._permits.locked():
            return await self._permits.acquire()
        try:
            async with asyncio.timeout(seconds):
                return await self._permits.acquire()
        except TimeoutError:
            return False

    def _release_permit(self) -> None:
        self._permits.release()

    async def _connect(self, deadline: Deadline) -> AsyncConnection:
        if self._at_shutdown is None:
            self._at_shutdown = self._close_at_shutdown()
            await anext(self._at_shutdown)
        token = connecting_until.set(deadline)
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining())):
                connection = await AsyncConnection.connect(self._server.conninfo, **OPTIONS)
        except TimeoutError:
            raise DeadlineExceededError from None
        except UnicodeError:
            raise psycopg.OperationalError("failed to resolve a host: it is not a name") from None
        finally:
            connecting_until.reset(token)
        configure(connection)
        return connection


async def _drive(calls: Calls[Result]) -> Result:
    proceed: Callable[[Any], Callable[[], Any]] = calls.send
    outcome: Any = None
    while True:
        try:
            call = proceed(outcome)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        try:
            proceed, outcome = calls.send, await call()
        except BaseException as error:  # noqa: BLE001 (thrown into the generator)
            proceed, outcome = calls.throw, error
