"""Performs the exchanges of one thread: one request at a time, on one connection to each broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .client_protocol import LOST, NOT_SENT, Exchange
from .codec import MessageError, decode_answer
from .fragmentation import MAX_BYTES, Assembler
from .messages import AnswerBody, Working
from .transports import BlockingConnection
from .zeromq import BlockingZeroMQ


class Client:
    """The connections to the brokers, each opened on first use.

    Args:
        addresses: The addresses of the brokers.
        connect: Opens a connection.
    """

    def __init__(self, addresses: Sequence[str], connect: Callable[[str], BlockingConnection] = BlockingZeroMQ) -> None:
        self._addresses = addresses
        self._connect = connect
        self._connections: dict[int, BlockingConnection] = {}
        self._assembler = Assembler(MAX_BYTES)

    def perform(self, exchange: Exchange) -> AnswerBody | None:
        """Sends a request, and returns the body of its answer, NOT_SENT, LOST, or None after silence."""
        connection = self._connection(exchange.broker)
        heard = time.monotonic()
        end = heard + exchange.seconds
        if not exchange.is_repeatable:
            connection.watch()
        if not connection.send(exchange.message, min(exchange.silence, exchange.seconds)):
            return NOT_SENT
        silence = exchange.silence if exchange.is_repeatable else exchange.seconds
        while (wait := min(heard + silence, end) - time.monotonic()) > 0:
            data = connection.receive(wait)
            if data is None:
                return LOST if connection.is_lost and not exchange.is_repeatable else None
            if (message := self._assembler.add(exchange.broker, data)) is None:
                continue
            try:
                answer = decode_answer(message)
            except MessageError:
                continue
            # Others are late answers of requests that were sent again or given up.
            if answer.id == exchange.id:
                return answer.body
            if isinstance(answer.body, Working) and exchange.id in answer.body.ids:
                heard = time.monotonic()
        return None

    def close(self) -> None:
        """Closes the connections."""
        for connection in self._connections.values():
            connection.close()

    def _connection(self, broker: int) -> BlockingConnection:
        found = self._connections.get(broker)
        if found is None:
            found = self._connections[broker] = self._connect(self._addresses[broker])
        return found
