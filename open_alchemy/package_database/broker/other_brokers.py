"""Sends messages to other brokers, on connections like those of clients. Messages may get lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from ..engines.broker.codec import Buffer, encode
from ..engines.broker.exchange import wall_clock
from ..engines.broker.messages import VERSION, Request
from ..engines.broker.transports import Connection
from ..engines.broker.zeromq import ZeroMQConnection
from ..exceptions import ConfigurationError


class OtherBrokers:
    """The connections to other brokers, each opened with the first message.

    Args:
        connect: Opens a connection.
    """

    def __init__(self, connect: Callable[[str, Callable[[Buffer], None]], Connection] = ZeroMQConnection) -> None:
        self._connect = connect
        self._connections: dict[str, Connection] = {}
        self._ids = count(1)

    def send(self, address: str, instance: str, body: Any) -> None:
        """Sends a message to the broker at an address."""
        message = encode(Request(VERSION, next(self._ids), wall_clock(), 0.0, body, instance))
        try:
            self._connection(address).send(message)
        except ConfigurationError:
            return  # The address of another broker cannot be used; it is evicted as a silent one.

    async def aclose(self) -> None:
        """Closes the connections."""
        for connection in self._connections.values():
            await connection.aclose()

    def _connection(self, address: str) -> Connection:
        found = self._connections.get(address)
        if found is None:
            found = self._connections[address] = self._connect(address, _ignore)
        return found


def _ignore(_: Buffer) -> None:
    """A broker answers these messages on a separate connection."""
