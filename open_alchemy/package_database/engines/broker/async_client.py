"""Performs the exchanges of one event loop: any number of requests, on one connection to each broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from ...core.secret import Secret
from ...exceptions import RefusedError, UnavailableError
from .cache_messages import SessionAnswer
from .client_protocol import LOST, NOT_SENT, Exchange, Requests
from .codec import Buffer, MessageError, decode_answer
from .messages import AnswerBody, Noted, Working
from .read_cache import ReadCache
from .transports import Connection

MAX_IN_PROGRESS: Final = 512
"""Requests of one client that are not answered; more wait. A broker queues 1,000 of all its clients by default."""
_CHECK_SECONDS: Final = 0.05
"""How often the client looks for requests whose broker is silent: cheaper than a timer for each request."""


Connect: TypeAlias = Callable[[str, Callable[[Buffer], None]], Connection]


class _Waiting:
    """A request without an answer.

    Attributes:
        answer: Its answer.
        connection: The connection on which it was sent.
        heard: When it was sent, or the broker last reported work on it, on the clock of the loop.
    """

    __slots__ = ("_end", "_exchange", "_is_sent_once", "answer", "connection", "heard")

    def __init__(self, loop: asyncio.AbstractEventLoop, exchange: Exchange, connection: Connection) -> None:
        self.answer: asyncio.Future[AnswerBody | None] = loop.create_future()
        self.heard = loop.time()
        self._end = self.heard + exchange.seconds
        self._exchange = exchange
        self.connection = connection
        self._is_sent_once = False

    def resolve(self, body: AnswerBody | None) -> None:
        """Sets the answer; a second one changes nothing."""
        if not self.answer.done():
            self.answer.set_result(body)

    def fail(self, error: Exception) -> None:
        """Sets an error, unless there is an answer."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def check(self, now: float) -> None:
        """Stops waiting after silence, or at the deadline for a request that must not be sent again.

        Any error ends the wait too: nothing else would.
        """
        try:
            self._check(now)
        except Exception as cause:  # noqa: BLE001 (see above)
            error = UnavailableError(
                "the client could not check a request; it may have taken effect", code="ClientError"
            )
            error.__cause__ = cause
            self.fail(error)

    def lose(self) -> None:
        """Stops waiting because the connection has ended, if the request must not be sent again."""
        if not self._exchange.is_repeatable:
            self.resolve(NOT_SENT if self.connection.withdraw(self._exchange.message) else LOST)

    def _check(self, now: float) -> None:
        if now < (self._end if self._is_sent_once else min(self.heard + self._exchange.silence, self._end)):
            return
        if self.connection.withdraw(self._exchange.message):
            self.resolve(NOT_SENT)
        elif self._exchange.is_repeatable or now >= self._end:
            self.resolve(None)
        else:
            self._is_sent_once = True


class AsyncClient:
    """The connections to the brokers, each opened on first use.

    Args:
        addresses: The addresses of the brokers.
        connect: Opens a connection that calls a function with each message.

    Attributes:
        requests: The requests of the client; set by its owner.
        cache: The cache of the client, if it has one.
        found: The address of the last broker that is not among the addresses, if it has connected to one.
    """

    requests: Requests
    cache: ReadCache | None = None
    found: str | None = None

    def __init__(self, addresses: Sequence[str], connect: Connect) -> None:
        self._addresses = addresses
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._semaphore = asyncio.Semaphore(MAX_IN_PROGRESS)
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Future[None]] = set()

    async def perform(self, exchange: Exchange) -> AnswerBody | None:
        """Sends a request, and returns the body of its answer, NOT_SENT, LOST, or None after silence."""
        try:
            if self._semaphore.locked():
                async with asyncio.timeout(exchange.seconds):
                    await self._semaphore.acquire()
            else:
                await self._semaphore.acquire()
        except TimeoutError:
            return NOT_SENT
        try:
            return await self._exchange(exchange)
        finally:
            self._semaphore.release()

    def receive(self, data: Buffer) -> None:
        """Passes an answer to its request; an answer that came too late is dropped."""
        try:
            answer = decode_answer(data)
        except MessageError:
            return
        body = answer.body
        if isinstance(body, Working):
            now = self._loop.time()
            for id_ in body.ids:
                if id_ in self._waiting:
                    self._waiting[id_].heard = now
            return
        if self.cache is not None:
            if isinstance(body, SessionAnswer):
                self.cache.receive(body)
            elif isinstance(body, Noted):
                # Also if the caller does not wait any more: the messages of a session are complete.
                self.cache.answer(body.header, body.body)
                body = body.body
        if answer.id in self._waiting:
            self._waiting[answer.id].resolve(body)

    @property
    def is_full(self) -> bool:
        """Whether the next request must wait before it is sent."""
        return self._semaphore.locked()

    def send(self, broker: int, message: Secret) -> None:
        """Sends a message without an answer."""
        self._connection(broker).send(message)

    def connect_to(self, address: str, connect: Connect) -> int:
        """Connects to a broker that is not among the addresses, in place of the last such; returns its position."""
        broker = len(self._addresses)
        if (previous := self._connections.pop(broker, None)) is not None:
            closing = asyncio.ensure_future(self._close_when_unused(previous))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._connections[broker] = connect(address, self.receive)
        self.found = address
        return broker

    async def aclose(self) -> None:
        """Closes the connections; requests without an answer fail."""
        if self.cache is not None:
            self.cache.close()
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._waiting.values():
            waiting.fail(RefusedError("the database was closed", code="Closed"))
        for connection in self._connections.values():
            await connection.aclose()
        await asyncio.gather(*self._closing)

    async def _close_when_unused(self, connection: Connection) -> None:
        try:
            if unanswered := [each.answer for each in self._waiting.values() if each.connection is connection]:
                await asyncio.wait(unanswered)
        finally:
            await connection.aclose()

    async def _exchange(self, exchange: Exchange) -> AnswerBody | None:
        connection = self._connection(exchange.broker)
        waiting = self._waiting[exchange.id] = _Waiting(self._loop, exchange, connection)
        if self._timer is None:
            self._timer = self._loop.call_later(_CHECK_SECONDS, self._check)
        try:
            if not exchange.is_repeatable:
                connection.watch(partial(self._lose, connection))
            (connection.broadcast if exchange.after_silence else connection.send)(exchange.message)
            return await waiting.answer
        finally:
            del self._waiting[exchange.id]

    def _lose(self, connection: Connection) -> None:
        for waiting in self._waiting.values():
            if waiting.connection is connection:
                waiting.lose()

    def _check(self) -> None:
        now = self._loop.time()
        for waiting in self._waiting.values():
            waiting.check(now)
        self._timer = self._loop.call_later(_CHECK_SECONDS, self._check) if self._waiting else None

    def _connection(self, broker: int) -> Connection:
        found = self._connections.get(broker)
        if found is None:
            found = self._connections[broker] = self._connect(self._addresses[broker], self.receive)
        return found
