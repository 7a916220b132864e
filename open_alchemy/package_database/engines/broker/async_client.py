"""Performs the exchanges of one event loop: any number of requests, on one connection to each broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from .codec import Buffer, MessageError, decode_answer
from .exchange import NOT_SENT, Exchange
from .messages import AnswerBody, Working
from .transports import Connection


class _Waiting:
    """A request without an answer.

    Attributes:
        answer: Its answer.
        heard: When it was sent, or the broker last reported work on it, on the clock of the loop.
    """

    __slots__ = ("_connection", "_exchange", "_is_sent_once", "_loop", "_timer", "answer", "end", "heard")

    def __init__(self, loop: asyncio.AbstractEventLoop, exchange: Exchange, connection: Connection) -> None:
        self.answer: asyncio.Future[AnswerBody | None] = loop.create_future()
        self.heard = loop.time()
        self.end = self.heard + exchange.seconds
        self._loop = loop
        self._exchange = exchange
        self._connection = connection
        self._is_sent_once = False
        self._timer = loop.call_at(self._due(), self._check)

    def cancel(self) -> None:
        """Stops waiting."""
        self._timer.cancel()

    def resolve(self, body: AnswerBody | None) -> None:
        """Sets the answer; a second one changes nothing."""
        if not self.answer.done():
            self.answer.set_result(body)

    def _due(self) -> float:
        return self.end if self._is_sent_once else min(self.heard + self._exchange.silence, self.end)

    def _check(self) -> None:
        if self._loop.time() < self._due():
            self._timer = self._loop.call_at(self._due(), self._check)
        elif self._connection.withdraw(self._exchange.message):
            self.resolve(NOT_SENT)
        elif self._exchange.is_repeatable or self.end <= self._loop.time():
            self.resolve(None)
        else:
            self._is_sent_once = True
            self._timer = self._loop.call_at(self.end, self._check)


class AsyncClient:
    """The connections to the brokers, each opened on first use.

    Args:
        addresses: The addresses of the brokers.
        connect: Opens a connection that calls a function with each message.
    """

    def __init__(
        self, addresses: Sequence[str], connect: Callable[[str, Callable[[Buffer], None]], Connection]
    ) -> None:
        self._addresses = addresses
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        self._waiting: dict[int, _Waiting] = {}

    async def perform(self, exchange: Exchange) -> AnswerBody | None:
        """Sends a request, and returns the body of its answer, NOT_SENT, or None after silence."""
        connection = self._connection(exchange.broker)
        waiting = self._waiting[exchange.id] = _Waiting(self._loop, exchange, connection)
        try:
            connection.send(exchange.message)
            return await waiting.answer
        finally:
            waiting.cancel()
            del self._waiting[exchange.id]

    def receive(self, data: Buffer) -> None:
        """Passes an answer to its request; an answer that came too late is dropped."""
        try:
            answer = decode_answer(data)
        except MessageError:
            return
        if isinstance(answer.body, Working):
            now = self._loop.time()
            for id_ in answer.body.ids:
                if id_ in self._waiting:
                    self._waiting[id_].heard = now
        elif answer.id in self._waiting:
            self._waiting[answer.id].resolve(answer.body)

    def close(self) -> None:
        """Closes the connections; requests without an answer fail after silence."""
        for connection in self._connections.values():
            connection.close()

    def _connection(self, broker: int) -> Connection:
        found = self._connections.get(broker)
        if found is None:
            found = self._connections[broker] = self._connect(self._addresses[broker], self.receive)
        return found
