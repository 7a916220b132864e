"""The awaiting transport: a pool of connections for each running loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, TypeVar

from ....core.secret import Secret
from ..limits import CONNECTIONS
from .endpoint import Endpoint
from .errors import ExchangeError, interrupted, not_connected
from .idle_check import Freshness
from .response import HttpResponse
from .semaphore import Room

Result = TypeVar("Result")

_CHUNK: Final = 1 << 16


class _Connection(asyncio.BufferedProtocol):
    """One connection. It has one answer at a time under way."""

    def __init__(self, pool: _Pool) -> None:
        self._loop = loop = pool.loop
        self._buffer = pool.buffer
        self._transport: Any = None
        self._answer: HttpResponse | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._end = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.is_open = True
        self.lost: asyncio.Future[None] = loop.create_future()

    async def exchange(self, data: Secret, answer: HttpResponse, end: float) -> None:
        """Sends a request and receives the answer, before a time on the loop's clock."""
        if not self.is_open:
            raise answer.cut_off()
        self._answer, self._waiter, self._end = answer, self._loop.create_future(), end
        # The alarm of an earlier exchange looks for itself whether it is still too early: to set one and to call it off
        # for each exchange would cost more than to encode the request.
        if self._alarm is None or self._alarm.when() > end:
            self._set_alarm()
        try:
            self._transport.write(data)
            await self._waiter
        finally:
            self._answer = self._waiter = None
        self.freshness.begin()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._end, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None:
            return
        if self._loop.time() < self._end:
            self._set_alarm()
        else:
            self._finish(TimeoutError())

    def close(self) -> None:
        """Closes it at once."""
        self.is_open = False
        if self._alarm is not None:
            self._alarm.cancel()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport
        self.freshness = Freshness(transport.get_extra_info("socket").fileno())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the loop, which would allocate 256 KB for each read."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop."""
        if self._answer is None:
            # Nobody asked: what comes next could be taken for the answer to another request.
            self.close()
            return
        try:
            if self._answer.feed(Secret(self._buffer[:nbytes])):
                self._finish(None)
        except ExchangeError as error:
            self._finish(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.is_open = False
        self.lost.set_result(None)
        if self._answer is not None:
            self._finish(exc or self._answer.cut_off())

    def _finish(self, error: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            if error is None:
                self._waiter.set_result(None)
            else:
                self._waiter.set_exception(error)


class _Pool:
    """The connections of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.room = Room(loop, CONNECTIONS)
        # Of all connections: what is read is taken out of it at once.
        self.buffer = memoryview(bytearray(_CHUNK))
        self.idle: list[_Connection] = []
        self.open: set[_Connection] = set()
        self.is_closed = False
        self._lifetime: AsyncGenerator[None, None] | None = None

    async def start(self) -> None:
        """Has the connections closed when the loop shuts down.

        A loop closes the asynchronous generators that have begun in it (PEP 525); ``asyncio.run`` makes it do so.
        """
        self._lifetime = self._live()
        await anext(self._lifetime)

    async def aclose(self) -> None:
        """Closes all connections, and waits until they are closed."""
        if self._lifetime is not None:
            await self._lifetime.aclose()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            # Calls that are still under way may open connections yet; they keep none.
            self.is_closed = True
            self.idle.clear()
            lost = [connection.lost for connection in self.open]
            for connection in self.open:
                connection.close()
            if lost:
                await asyncio.wait(lost)

    def take_idle(self) -> _Connection | None:
        """Returns an idle connection that can be used, if there is one."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_open and connection.freshness.lasts():
                return connection
            self.discard(connection)
        return None

    def discard(self, connection: _Connection) -> None:
        """Closes a connection."""
        connection.close()
        self.open.discard(connection)


class AsyncTransport:
    """Connections to one endpoint, for every loop that runs in this process.

    Args:
        endpoint: Where they go.
        context: Whom they trust; None where they are not encrypted.
        connect_seconds: How long connecting may take, the handshake included.
    """

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None, connect_seconds: float) -> None:
        self._endpoint = endpoint
        self._context = context
        self._connect_seconds = connect_seconds
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}

    async def exchange(self, data: Secret, seconds: float) -> HttpResponse:
        """Sends a request and returns the complete answer; a call that is cancelled closes its connection.

        Raises:
            ExchangeError: There was none within so many seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        pool = self._pools.get(loop) or await self._make_pool(loop)
        try:
            await pool.room.enter(seconds)
        except TimeoutError as error:
            raise ExchangeError("PoolTimeoutError", f"all {CONNECTIONS} connections are in use") from error
        try:
            # As the blocking transport does.
            connection = pool.take_idle()
            if connection is not None:
                answer = HttpResponse()
                try:
                    return await _use(pool, connection, data, answer, end)
                except ExchangeError as error:
                    if answer.is_begun or error.code != "ConnectionClosedError":
                        raise
            return await _use(pool, await self._open(pool, end), data, HttpResponse(), end)
        finally:
            pool.room.leave()

    @staticmethod
    async def in_a_thread(function: Callable[..., Result], *arguments: Any) -> Result:
        """Runs what would hold the loop up in a thread of its executor."""
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    async def aclose(self) -> None:
        """Closes the connections of the running loop."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    async def _make_pool(self, loop: asyncio.AbstractEventLoop) -> _Pool:
        for other in list(self._pools):
            if other.is_closed():
                self._pools.pop(other, None)
        pool = self._pools[loop] = _Pool(loop)
        await pool.start()
        return pool

    async def _open(self, pool: _Pool, end: float) -> _Connection:
        end = min(end, pool.loop.time() + self._connect_seconds)
        try:
            connection = await self._connect(pool, end)
        except (OSError, UnicodeError) as error:
            raise not_connected(error) from error
        pool.open.add(connection)
        return connection

    async def _connect(self, pool: _Pool, end: float) -> _Connection:
        """Connects to the first of the host's addresses that answers.

        Not with asyncio's own Happy Eyeballs, which leaves a socket open where the call is cancelled.
        """
        host, port = self._endpoint.host, self._endpoint.port
        refusal: OSError = OSError(f"{host} has no address")
        async with asyncio.timeout_at(end):
            found = await pool.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for number, (*_, address) in enumerate(found):
            # One that does not answer leaves time for the next.
            seconds = (end - pool.loop.time()) / (len(found) - number)
            try:
                async with asyncio.timeout(seconds):
                    _, connection = await pool.loop.create_connection(
                        lambda: _Connection(pool),
                        *address[:2],
                        ssl=self._context,
                        server_hostname=host if self._context else None,
                    )
            except OSError as error:
                refusal = error
            else:
                return connection
        raise refusal


async def _use(pool: _Pool, connection: _Connection, data: Secret, answer: HttpResponse, end: float) -> HttpResponse:
    try:
        await connection.exchange(data, answer, end)
    except BaseException as error:
        pool.discard(connection)
        if isinstance(error, OSError):
            raise interrupted(error) from error
        raise
    if answer.keeps_connection and connection.is_open and not pool.is_closed:
        pool.idle.append(connection)
    else:
        pool.discard(connection)
    return answer
