"""The two sides of a message bus, on a link that sends and receives short messages.

The brokers share the subject ``PREFIX.requests``, of which each message gets to one of them. A client has a subject for
its answers, and a broker one of its own, to which a client sends the parts of a long message: the client first sends an
empty message to the shared subject, and the broker that receives it answers with an empty message from its own subject.
Each broker receives each message of ``PREFIX.broadcasts``. A client that caches has a session with one broker, and uses
the own subject of this broker.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import ClassVar, Final, NamedTuple, Protocol, cast

from ...core.secret import Secret
from ...exceptions import ConfigurationError
from .codec import Buffer
from .config import Bus
from .fragmentation import MAX_BYTES, PART_BYTES, Assembler, split
from .transports import Peer

CONNECT_SECONDS: Final = 5.0
_MAX_OFFERED: Final = 100

Receive = Callable[[Buffer, str], None]
"""Is called with each received message, and the subject for answers; empty for none."""


class Subscription(NamedTuple):
    """A subject whose messages are received; if it is shared, each message gets to one of its receivers."""

    subject: str
    is_shared: bool


class Link(Protocol):
    """A connection to a bus in the running event loop, which is opened again when it ends."""

    def __init__(self, bus: Bus, subscriptions: Sequence[Subscription], receive: Receive) -> None: ...

    @property
    def max_payload(self) -> int:
        """The length of the longest message."""

    def send(self, subject: str, message: Secret, reply: str) -> None:
        """Sends a message without waiting; loses it if the bus is not connected in time."""

    def withdraw(self, message: Secret) -> bool:
        """Drops a message that is not sent yet; returns False if it may have been sent."""

    async def connected(self) -> None:
        """Returns when it is connected."""

    async def aclose(self) -> None:
        """Sends what is queued, for a second at most, and closes the connection."""


class BusConnection:
    """A client of the brokers on a bus, in the running event loop.

    Args:
        bus: The bus.
        receive: Is called with each message.
        address: That of one broker, ``SCHEME:SUBJECT``; any other for all of them.
    """

    link_class: ClassVar[type[Link]]

    def __init__(self, bus: Bus, receive: Callable[[Buffer], None], address: str = "") -> None:
        self._receive = receive
        self._requests = _subject_of(bus, address) or f"{bus.prefix}.requests"
        self._broadcasts = f"{bus.prefix}.broadcasts"
        self._inbox = _own_subject(bus, "client")
        self._assembler = Assembler(MAX_BYTES)
        self._offered: deque[Secret] = deque(maxlen=_MAX_OFFERED)
        self._numbers = count(secrets.randbits(48))
        self._link = self.link_class(bus, [Subscription(self._inbox, is_shared=False)], self._deliver)

    def send(self, message: Secret) -> None:
        """Sends a request to the broker, or to any of them."""
        if len(message) > self._link.max_payload:
            self._offered.append(message)
            message = Secret()
        self._link.send(self._requests, message, self._inbox)

    def broadcast(self, message: Secret) -> None:
        """Sends a request to each of the brokers; one that is longer than the bus transmits, to any of them."""
        if len(message) > self._link.max_payload:
            self.send(message)
        else:
            self._link.send(self._broadcasts, message, self._inbox)

    def withdraw(self, message: Secret) -> bool:
        """Drops a message that is not sent yet."""
        if message in self._offered:
            self._offered.remove(message)
            return True
        return self._link.withdraw(message)

    def watch(self, lost: Callable[[], None]) -> None:
        """Does nothing: a client of a bus does not notice the end of a broker."""

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._link.aclose()

    def _deliver(self, data: Buffer, reply: str) -> None:
        if not data and reply and self._offered:
            for part in split(self._offered.popleft(), self._link.max_payload, next(self._numbers)):
                self._link.send(reply, part, self._inbox)
        elif data and (message := self._assembler.add("", data)) is not None:
            self._receive(message)


class BusServer:
    """A broker on a bus, in the running event loop.

    Attributes:
        address: Where this broker is reached, and no other.
    """

    link_class: ClassVar[type[Link]]

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._own = _own_subject(bus, "broker")
        self.address = f"{bus.scheme}:{self._own}"
        self._assembler = Assembler(MAX_BYTES)
        self._numbers = count(secrets.randbits(48))

    async def start(self, receive: Callable[[Peer, Buffer], None]) -> str:
        """Receives requests."""

        def deliver(data: Buffer, reply: str) -> None:
            if not data:
                # Brokers would answer each other without end.
                if reply and not _subject_of(self._bus, f"{self._bus.scheme}:{reply}"):
                    self._link.send(reply, Secret(), self._own)
            elif reply and (message := self._assembler.add(reply, data)) is not None:
                receive(Peer(self, reply), message)

        subscriptions = [
            Subscription(f"{self._bus.prefix}.requests", is_shared=True),
            Subscription(f"{self._bus.prefix}.broadcasts", is_shared=False),
            Subscription(self._own, is_shared=False),
        ]
        self._link = self.link_class(self._bus, subscriptions, deliver)
        try:
            await asyncio.wait_for(self._link.connected(), CONNECT_SECONDS)
        except TimeoutError:
            await self._link.aclose()
            raise ConfigurationError(f"the broker cannot connect to {self._bus.location}") from None
        return self._bus.location

    def send(self, address: Hashable, message: Secret, report: Secret | None = None) -> None:
        """Sends a message to a client, in parts if it is long."""
        self._send(cast("str", address), message, "", report)

    def send_to_broker(self, address: str, message: Secret) -> bool:
        """Sends a request to another broker; returns False if it is not on this bus."""
        if subject := _subject_of(self._bus, address):
            self._send(subject, message, self._own)
        return bool(subject)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._link.aclose()

    def _send(self, subject: str, message: Secret, reply: str, report: Secret | None = None) -> None:
        size = min(PART_BYTES, self._link.max_payload)
        if len(message) <= size:
            self._link.send(subject, message, reply)
            return
        for part in split(message, size, next(self._numbers), report):
            self._link.send(subject, part, reply)


def _own_subject(bus: Bus, kind: str) -> str:
    return f"{bus.prefix}.{kind}.{secrets.token_hex(12)}"


def _subject_of(bus: Bus, address: str) -> str:
    """Returns the subject of a broker; empty if it is not on this bus."""
    return address.removeprefix(f"{bus.scheme}:") if address.startswith(bus.broker_address) else ""
