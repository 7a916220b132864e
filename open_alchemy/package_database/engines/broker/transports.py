"""The interface of a message bus: how a client reaches one broker, and how a broker reaches its clients.

An adapter delivers whole messages, each at most once and unchanged, or loses them. It neither repeats a message nor
queues it for a peer that is not connected.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

from ...core.secret import Secret
from .codec import Buffer


class BlockingConnection(Protocol):
    """A connection to one broker, for one thread at a time."""

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended since the last call of ``watch``."""

    def watch(self) -> None:
        """Notices from now on when the connection ends: ``receive`` returns None at once then."""

    def send(self, message: Secret, seconds: float) -> bool:
        """Sends a message; returns False if the broker was not connected for ``seconds``."""

    def receive(self, seconds: float) -> Buffer | None:
        """Returns the next message, or None if there is none for ``seconds``."""

    def close(self) -> None:
        """Closes the connection, without waiting. May be called again."""


class Connection(Protocol):
    """A connection to one broker in the running event loop, which calls a function with each received message."""

    def send(self, message: Secret) -> None:
        """Sends a message without waiting; loses it if the broker is not connected in time."""

    def broadcast(self, message: Secret) -> None:
        """Sends a message to each broker that the connection reaches; otherwise as ``send``."""

    def withdraw(self, message: Secret) -> bool:
        """Drops a message that is not sent yet; returns False if it may have been sent."""

    def watch(self, lost: Callable[[], None]) -> None:
        """Calls a function from now on when the connection to the broker ends, where the transport notices that.

        The messages that were received before are delivered first. May be called again, and changes nothing then.
        """

    async def aclose(self) -> None:
        """Closes the connection, within a second. May be called again."""


class Peer(NamedTuple):
    """A client of a broker.

    Attributes:
        transport: What it is connected through.
        address: What the transport sends answers to.
        user: Who it is; empty where the transport does not authenticate it.
    """

    transport: ServerTransport
    address: Hashable
    user: str = ""


class ServerTransport(Protocol):
    """The broker's side of a message bus, in the running event loop."""

    async def start(self, receive: Callable[[Peer, Buffer], None]) -> str:
        """Starts to receive, and calls a function with each message; returns the address of the broker.

        Raises:
            ConfigurationError: The address cannot be used.
        """

    def send(self, address: Hashable, message: Secret, report: Secret | None = None) -> None:
        """Sends a message without waiting; loses it if the client is gone or does not read.

        Args:
            address: That of the client.
            message: The message, which is sent in parts if it is longer than ``PART_BYTES``.
            report: A message that precedes each part, if any.
        """

    async def aclose(self) -> None:
        """Sends what is queued, for a second at most, and closes the connections. May be called again."""
