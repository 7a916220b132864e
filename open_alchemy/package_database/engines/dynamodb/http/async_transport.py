"""The transport for asyncio: a pool of connections for each event loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from ....core.deadline import Deadline
from ....core.secret import Secret
from ...port import DEFAULT_DEADLINE
from ..thread_executor import BlockingCalls, SharedCall
from ..timeouts import CONNECTIONS, Timeouts
from .async_connect import connect
from .async_connection import Connection
from .endpoint import Endpoint
from .happy_eyeballs import Address, resolve
from .response import HttpResponse
from .semaphore import AdmissionQueue, LoopSemaphore, Ticket
from .transport_errors import ExchangeError, interrupted, not_connected, queue_timeout

_CHUNK: Final = 1 << 16


class _Pool:
    """The connections of one event loop.

    Args:
        loop: The event loop.
        seconds: How long a call waits at most before it starts.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop = loop
        self.semaphore = LoopSemaphore(loop, CONNECTIONS)
        self.admission = AdmissionQueue(loop, self.semaphore, seconds)
        # Shared by all connections: what is received is copied out of it at once.
        self.buffer = memoryview(bytearray(_CHUNK))
        self.idle: deque[Connection] = deque()
        self.open: set[Connection] = set()
        self.is_closed = False
        self._lifetime: AsyncGenerator[None, None] | None = None

    async def start(self) -> None:
        """Has the connections closed when the loop shuts down.

        ``asyncio.run`` closes the asynchronous generators that have started in its loop (PEP 525).
        """
        self._lifetime = self._live()
        await anext(self._lifetime)

    def close(self) -> None:
        """Closes all connections. Calls that are in progress may open others, and keep none."""
        self.is_closed = True
        self.admission.close()
        self.idle.clear()
        for connection in list(self.open):
            connection.close()

    async def aclose(self) -> None:
        """Closes all connections, and waits until they are closed."""
        if self._lifetime is not None:
            await self._lifetime.aclose()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.close()
            lost = [connection.lost for connection in self.open]
            if lost:
                await asyncio.wait(lost)

    def take_idle(self) -> Connection | None:
        """Returns the connection that was used last, and closes those that cannot be used."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_open and connection.idle_check.is_usable():
                return connection
            connection.close()
        return None

    def forget(self, connection: Connection) -> None:
        """Called when a connection is closed, also by the server."""
        self.open.discard(connection)
        with suppress(ValueError):
            self.idle.remove(connection)


class AsyncTransport:
    """Connections to one endpoint, for every event loop of the process.

    Args:
        endpoint: The endpoint.
        context: The TLS context; None without TLS.
        timeouts: The timeouts of an attempt.
        threads: Run name lookups.
        queue_seconds: How long a call waits at most before it starts.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        context: ssl.SSLContext | None,
        timeouts: Timeouts,
        threads: BlockingCalls,
        queue_seconds: float = DEFAULT_DEADLINE,
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._timeouts = timeouts
        self._queue_seconds = queue_seconds
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._addresses: SharedCall[list[Address]] = threads.shared(partial(resolve, endpoint.host, endpoint.port))

    def queue(self) -> asyncio.Future[None] | None:
        """Returns None if a call can be admitted now, otherwise what it awaits; raises ``TimeoutError`` in time."""
        pool = self._pools.get(asyncio.get_running_loop())
        return None if pool is None else pool.admission.enter()

    async def exchange(self, render: Callable[[], Secret], deadline: Deadline) -> HttpResponse:
        """Sends a request when a connection is free, and returns the complete answer.

        A call that is cancelled closes its connection.

        Args:
            render: Returns the bytes of the request.
            deadline: The call's.

        Raises:
            ExchangeError: No usable answer was received.
        """
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop) or await self._make_pool(loop)
        ticket = Ticket()
        try:
            try:
                if not pool.semaphore.try_acquire(ticket):
                    await _acquire(pool, ticket, deadline)
                data, end = render(), loop.time() + deadline.attempt_seconds()
                connection = pool.take_idle()
                answer: HttpResponse | None = None
                # A return here would add an instruction that neither block covers.
                while answer is None:
                    is_idle = connection is not None
                    answer = await _use(pool, connection or await self._open(pool, end), data, end, is_idle=is_idle)
                    connection = None
            finally:
                pool.semaphore.release(ticket)
        finally:
            # A signal handler may have interrupted the other.
            if not ticket.is_released:
                pool.semaphore.release(ticket)
            pool.admission.admit()
        return answer

    async def aclose(self) -> None:
        """Closes all connections; those of other event loops when their loop runs next."""
        pools = dict(self._pools)
        self._pools.clear()
        own = pools.pop(asyncio.get_running_loop(), None)
        for loop, pool in pools.items():
            # A closed loop has closed its connections.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(pool.close)
        if own is not None:
            await own.aclose()

    async def _make_pool(self, loop: asyncio.AbstractEventLoop) -> _Pool:
        for other in list(self._pools):
            if other.is_closed():
                self._pools.pop(other, None)
        pool = self._pools[loop] = _Pool(loop, self._queue_seconds)
        await pool.start()
        return pool

    async def _open(self, pool: _Pool, end: float) -> Connection:
        host, timeouts, loop = self._endpoint.host, self._timeouts, pool.loop
        try:
            addresses = await self._addresses.result(end - loop.time())
            connected = await connect(addresses, min(timeouts.connect, end - loop.time()))
            async with asyncio.timeout(min(timeouts.handshake, end - loop.time())):
                connection = await self._wrap(pool, connected)
        except (OSError, UnicodeError) as error:
            raise not_connected(error, host, self._endpoint.port) from error
        # The server may have closed it meanwhile.
        if connection.is_open:
            pool.open.add(connection)
        return connection

    async def _wrap(self, pool: _Pool, connected: socket.socket) -> Connection:
        connection = Connection(pool.loop, pool.buffer, self._timeouts.read, pool.forget)
        name = self._endpoint.host if self._context else None
        try:
            await pool.loop.create_connection(
                lambda: connection, sock=connected, ssl=self._context, server_hostname=name
            )
        except BaseException:
            # A call may be interrupted when the loop has the transport already, which must leave the selector first.
            connection.close()
            connected.close()
            raise
        return connection


async def _acquire(pool: _Pool, ticket: Ticket, deadline: Deadline) -> None:
    try:
        await pool.semaphore.acquire(ticket, deadline.remaining())
    except TimeoutError as error:
        raise queue_timeout(CONNECTIONS) from error


async def _use(pool: _Pool, connection: Connection, data: Secret, end: float, *, is_idle: bool) -> HttpResponse | None:
    """Makes an exchange; returns None if the connection was idle and the server had just closed it."""
    answer = HttpResponse()
    try:
        await connection.send(data, answer, end)
    except BaseException as error:
        connection.close()
        if not isinstance(error, ExchangeError | OSError):
            raise
        failure = interrupted(error) if isinstance(error, OSError) else error
        # As in the blocking transport: that is no failure of the store.
        if is_idle and not answer.is_begun and failure.code == "ConnectionClosedError":
            return None
        raise failure from error.__cause__ or error
    if answer.keeps_connection and connection.is_open and not pool.is_closed:
        pool.idle.append(connection)
    else:
        connection.close()
    return answer
