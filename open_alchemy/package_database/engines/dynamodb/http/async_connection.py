"""A connection of an event loop, which has one exchange at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ....core.secret import Secret
from .idle_check import IdleCheck
from .response import HttpResponse
from .transport_errors import ExchangeError


class Connection(asyncio.BufferedProtocol):
    """A connection.

    Args:
        loop: The event loop.
        buffer: Where received bytes are stored, shared by all connections of the loop.
        seconds: How long an exchange waits for a byte to be sent or received.
        on_lost: Called when the connection is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        buffer: memoryview,
        seconds: float,
        on_lost: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._buffer = buffer
        self._seconds = seconds
        self._on_lost = on_lost
        self._transport: Any = None
        self._answer: HttpResponse | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._end = self._active = 0.0
        self._unsent = 0
        self.is_open = False
        self.lost: asyncio.Future[None] = loop.create_future()

    def send(self, data: Secret, answer: HttpResponse, end: float) -> asyncio.Future[None]:
        """Sends a request, and returns the future of the answer, before a time on the loop's clock.

        The connection must be closed if the future raises or is cancelled.
        """
        if not self.is_open:
            raise answer.cut_off()
        waiter = self._loop.create_future()
        self._answer, self._waiter, self._end = answer, waiter, end
        self._active, self._unsent = self._loop.time(), 0
        # The timer of an earlier exchange is kept: to cancel and set one for each exchange costs more than to encode
        # the request. If it fires too early, it is set again.
        if self._timer is None or self._timer.when() > self._timeout():
            self._set_timer()
        self._transport.write(data)
        return waiter

    def close(self) -> None:
        """Closes the connection at once."""
        self.is_open = False
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport
        self.idle_check = IdleCheck(transport.get_extra_info("socket").fileno())
        self.is_open = True

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the loop, which would allocate 256 KB for each read."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop."""
        if self._answer is None:
            # No request is pending: the bytes could be read as the answer to another request.
            self.close()
            return
        self._active = self._loop.time()
        try:
            if self._answer.feed(Secret(self._buffer[:nbytes])):
                self._finish(None)
        except ExchangeError as error:
            self._finish(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.is_open = False
        if self._answer is not None:
            self._finish(exc or self._answer.cut_off())
        if self._timer is not None:
            self._timer.cancel()
        self._on_lost(self)
        self.lost.set_result(None)

    def _timeout(self) -> float:
        return min(self._end, self._active + self._seconds)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._timeout(), self._check_timeout)

    def _check_timeout(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._active, self._unsent = self._loop.time(), unsent
        if self._loop.time() < self._timeout():
            self._set_timer()
        else:
            self._finish(TimeoutError())

    def _finish(self, error: Exception | None) -> None:
        waiter, self._answer, self._waiter = self._waiter, None, None
        self.idle_check.start()
        if waiter is not None and not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
