"""Sends messages to other brokers: over a bus that both use, or on connections like those of clients.

Messages may get lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from ..engines.broker.bus import BusServer
from ..engines.broker.client_protocol import wall_clock
from ..engines.broker.codec import Buffer, encode
from ..engines.broker.messages import VERSION, Request
from ..engines.broker.transports import Connection
from ..engines.broker.zeromq import ZeroMQConnection
from ..exceptions import ConfigurationError


class OtherBrokers:
    """The connections to other brokers, each opened with the first message.

    Args:
        connect: Opens a connection to a TCP address.
        buses: The buses of this broker.
    """

    def __init__(
        self,
        connect: Callable[[str, Callable[[Buffer], None]], Connection] = ZeroMQConnection,
        buses: Sequence[BusServer] = (),
    ) -> None:
        self._connect, self._buses = connect, buses
        self._connections: dict[str, Connection] = {}
        self._ids = count(1)

    def send(self, address: str, instance: str, body: Any) -> None:
        """Sends a message to the broker at an address, or at one of several, separated by commas."""
        message = encode(Request(VERSION, next(self._ids), wall_clock(), 0.0, body, instance))
        for place in address.split(","):
            if any(bus.send_to_broker(place, message) for bus in self._buses):
                return
            if place.startswith("tcp://"):
                with suppress(ConfigurationError):  # One that cannot be used: the broker is evicted as a silent one.
                    self._connection(place).send(message)

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
