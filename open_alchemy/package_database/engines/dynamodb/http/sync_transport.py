"""The blocking transport: a pool of sockets that threads share."""

from __future__ import annotations

import socket
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ....core.deadline import Deadline
from ....core.secret import Secret
from ..timeouts import CONNECTIONS, Timeouts
from .endpoint import Endpoint
from .happy_eyeballs import connect, resolve
from .idle_check import IdleCheck
from .response import HttpResponse
from .semaphore import ThreadSemaphore, Ticket
from .transport_errors import ExchangeError, interrupted, not_connected, queue_timeout

if TYPE_CHECKING:
    from ssl import SSLContext

_CHUNK: Final = 1 << 16


class _Connection:
    """A connected socket, with TLS or without.

    Args:
        connected: The socket.
        seconds: How long it waits for a byte to be sent or received.
    """

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        self._socket = connected
        self._seconds = seconds
        self.idle_check = IdleCheck(connected.fileno())

    def exchange(self, data: Secret, answer: HttpResponse, end: float) -> None:
        """Sends a request and receives the answer."""
        left = memoryview(data)
        while left:
            # Not sendall, whose timeout is for all of the data.
            self._limit(end)
            left = left[self._socket.send(left) :]
        self._limit(end)
        while not answer.feed(Secret(self._socket.recv(_CHUNK))):
            self._limit(end)
        self.idle_check.start()

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def _limit(self, end: float) -> None:
        self._socket.settimeout(min(self._seconds, _left(end)))


class SyncTransport:
    """Connections to one endpoint, for many threads.

    Args:
        endpoint: The endpoint.
        context: The TLS context; None without TLS.
        timeouts: The timeouts of an attempt.
    """

    def __init__(self, endpoint: Endpoint, context: SSLContext | None, timeouts: Timeouts) -> None:
        self._endpoint = endpoint
        self._context = context
        self._timeouts = timeouts
        self._semaphore = ThreadSemaphore(CONNECTIONS)
        self._idle: deque[_Connection] = deque()
        self._is_closed = False
        # A database that is shared by the whole process is not closed by its users.
        weakref.finalize(self, _close_all, self._idle)

    def exchange(self, render: Callable[[], Secret], deadline: Deadline) -> HttpResponse:
        """Sends a request when a connection is free, and returns the complete answer.

        Args:
            render: Returns the bytes of the request.
            deadline: The call's.

        Raises:
            ExchangeError: No usable answer was received.
        """
        ticket = Ticket()
        try:
            try:
                self._acquire(ticket, deadline)
                return self._attempt(render(), time.monotonic() + deadline.attempt_seconds())
            finally:
                self._semaphore.release(ticket)
        finally:
            # A signal handler may have interrupted the other.
            self._semaphore.release(ticket)

    def close(self) -> None:
        """Closes the idle connections, and the others when their exchange ends."""
        self._is_closed = True
        _close_all(self._idle)

    def _acquire(self, ticket: Ticket, deadline: Deadline) -> None:
        try:
            self._semaphore.acquire(ticket, deadline.remaining())
        except TimeoutError as error:
            raise queue_timeout(CONNECTIONS) from error

    def _attempt(self, data: Secret, end: float) -> HttpResponse:
        # The server may close an idle connection just when it is used again: that is no failure of the store. A
        # request may be sent twice, because it has one effect however often it arrives.
        connection = self._take_idle()
        if connection is not None:
            answer = HttpResponse()
            try:
                return self._use(connection, data, answer, end)
            except ExchangeError as error:
                if answer.is_begun or error.code != "ConnectionClosedError":
                    raise
        return self._use(self._open(end), data, HttpResponse(), end)

    def _take_idle(self) -> _Connection | None:
        """Returns the connection that was used last, and closes those that cannot be used."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                # Another thread was faster.
                break
            if connection.idle_check.is_usable():
                return connection
            connection.close()
        return None

    def _keep(self, connection: _Connection) -> None:
        self._idle.append(connection)
        if self._is_closed:
            _close_all(self._idle)
            return
        # Connections at the other end would stay in CLOSE_WAIT as long as there is little to do.
        try:
            oldest = self._idle.popleft()
        except IndexError:
            return
        if oldest is connection or oldest.idle_check.is_usable():
            self._idle.appendleft(oldest)
        else:
            oldest.close()

    def _open(self, end: float) -> _Connection:
        host, timeouts = self._endpoint.host, self._timeouts
        try:
            addresses = resolve(host, self._endpoint.port)
            connected = connect(addresses, min(timeouts.connect, _left(end)))
            try:
                if self._context is not None:
                    connected.settimeout(min(timeouts.handshake, _left(end)))
                    connected = self._context.wrap_socket(connected, server_hostname=host)
            except BaseException:
                connected.close()
                raise
        except (OSError, UnicodeError) as error:
            raise not_connected(error, host, self._endpoint.port) from error
        return _Connection(connected, timeouts.read)

    def _use(self, connection: _Connection, data: Secret, answer: HttpResponse, end: float) -> HttpResponse:
        try:
            connection.exchange(data, answer, end)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise interrupted(error) from error
            raise
        if answer.keeps_connection:
            self._keep(connection)
        else:
            connection.close()
        return answer


def _close_all(connections: deque[_Connection]) -> None:
    while connections:
        try:
            connections.pop().close()
        except IndexError:
            return


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
