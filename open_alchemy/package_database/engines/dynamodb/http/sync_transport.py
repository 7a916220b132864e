"""The blocking transport: a pool of sockets."""

from __future__ import annotations

import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from ....core.secret import Secret
from ..limits import CONNECTIONS
from .endpoint import Endpoint
from .errors import ExchangeError, interrupted, not_connected
from .idle_check import Freshness
from .response import HttpResponse

if TYPE_CHECKING:
    from ssl import SSLContext

_CHUNK: Final = 1 << 16


class _Connection:
    """One connection, encrypted or not."""

    def __init__(self, endpoint: Endpoint, context: SSLContext | None, end: float) -> None:
        self._socket = _connect(endpoint, end)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if context is not None:
                self._socket.settimeout(_left(end))
                self._socket = context.wrap_socket(self._socket, server_hostname=endpoint.host)
        except BaseException:
            self.close()
            raise
        self.freshness = Freshness(self._socket.fileno())

    def exchange(self, data: Secret, answer: HttpResponse, end: float) -> None:
        """Sends a request and receives the answer."""
        left = memoryview(data)
        while left:
            # Not sendall, which in TLS gives each part of the data all of the time.
            self._socket.settimeout(_left(end))
            left = left[self._socket.send(left) :]
        while not answer.feed(Secret(self._socket.recv(_CHUNK))):
            self._socket.settimeout(_left(end))
        self.freshness.begin()

    def close(self) -> None:
        """Closes it."""
        self._socket.close()


class SyncTransport:
    """Connections to one endpoint, for many threads.

    Args:
        endpoint: Where they go.
        context: Whom they trust; None where they are not encrypted.
        connect_seconds: How long connecting may take, the handshake included.
    """

    def __init__(self, endpoint: Endpoint, context: SSLContext | None, connect_seconds: float) -> None:
        self._endpoint = endpoint
        self._context = context
        self._connect_seconds = connect_seconds
        self._room = threading.Semaphore(CONNECTIONS)
        self._idle: list[_Connection] = []
        # A facade is not closed by its users where it is shared by the whole process.
        weakref.finalize(self, _close_all, self._idle)

    def exchange(self, data: Secret, seconds: float) -> HttpResponse:
        """Sends a request and returns the complete answer.

        Raises:
            ExchangeError: There was none within so many seconds.
        """
        end = time.monotonic() + seconds
        if not self._room.acquire(timeout=seconds):
            raise ExchangeError("PoolTimeoutError", f"all {CONNECTIONS} connections are in use")
        try:
            # The server may close an idle connection just when it is used again: that is no error of the store. A
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
        finally:
            self._room.release()

    def close(self) -> None:
        """Closes the connections that are idle."""
        _close_all(self._idle)

    def _take_idle(self) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.freshness.lasts():
                return connection
            connection.close()

    def _open(self, end: float) -> _Connection:
        end = min(end, time.monotonic() + self._connect_seconds)
        try:
            return _Connection(self._endpoint, self._context, end)
        except (OSError, UnicodeError) as error:
            raise not_connected(error) from error

    def _use(self, connection: _Connection, data: Secret, answer: HttpResponse, end: float) -> HttpResponse:
        try:
            connection.exchange(data, answer, end)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise interrupted(error) from error
            raise
        if answer.keeps_connection:
            self._idle.append(connection)
        else:
            connection.close()
        return answer


def _close_all(connections: list[_Connection]) -> None:
    while connections:
        connections.pop().close()


def _connect(endpoint: Endpoint, end: float) -> socket.socket:
    """Connects to the first of the host's addresses that answers."""
    refusal: OSError = OSError(f"{endpoint.host} has no address")
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(found):
        opened = socket.socket(family, kind, protocol)
        try:
            # One that does not answer leaves time for the next.
            opened.settimeout(_left(end) / (len(found) - number))
            opened.connect(address)
        except OSError as error:
            opened.close()
            refusal = error
        else:
            return opened
    raise refusal


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
