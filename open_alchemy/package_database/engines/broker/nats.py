"""NATS: brokers are a queue group, so that each request gets to one of them; a client has an inbox for its answers.

A part of a request may get to another broker than the next one. Therefore a client first publishes an empty message
for a message that is longer than the server transmits; the broker that receives it returns its own subject.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final, cast

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from ...core.secret import Secret
from ...exceptions import ConfigurationError
from .. import telemetry
from .bus_tls import tls_context
from .codec import Buffer
from .config import Bus
from .parts import MAX_BYTES, Assembler, split
from .send_queue import SendQueue
from .transports import Peer

_GROUP: Final = "brokers"
_OPTIONS: Final[dict[str, Any]] = {
    "allow_reconnect": True,
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": 0.1,
    "connect_timeout": 2,
    # A connection without an answer to two PINGs is closed after 3 seconds.
    "ping_interval": 1,
    "max_outstanding_pings": 2,
}
_CONNECT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 1.0
_MAX_OFFERED: Final = 100


class _Link:
    """A connection to the bus, which is opened again when it ends."""

    def __init__(self, bus: Bus, receive: Callable[[Msg], None]) -> None:
        self.client = Client()
        self.queue = SendQueue(self._publish)
        self._bus = bus
        self._receive = receive
        self._next_number = secrets.randbits(48)

    async def connect(self, *subscriptions: tuple[str, str]) -> None:
        """Connects, and subscribes to subjects, each with its queue group."""
        bus = self._bus

        async def connected() -> None:
            self.queue.open()

        async def disconnected() -> None:
            self.queue.pause()

        await self.client.connect(
            [f"nats://{host}" for host in bus.hosts],
            user=bus.user or None,
            password=bus.password or None,
            user_credentials=cast("Any", bus.file("credentials")),
            nkeys_seed=bus.parameters.get("nkey"),
            tls=cast("Any", tls_context(bus)),
            error_cb=_log,
            reconnected_cb=connected,
            disconnected_cb=disconnected,
            **_OPTIONS,
        )
        for subject, group in subscriptions:
            await self.client.subscribe(subject, group, cb=self._deliver, pending_bytes_limit=4 * MAX_BYTES)
        await connected()

    def send(self, subject: str, message: Secret, reply: str = "") -> None:
        """Sends a message to one receiver, in parts if it is too long."""
        size = self.client.max_payload
        if len(message) <= size:
            self.queue.put((subject, message, reply), len(message))
            return
        self._next_number += 1
        for part in split(message, size, self._next_number):
            self.queue.put((subject, part, reply), len(part))

    async def aclose(self) -> None:
        """Sends what is queued, for a second at most, and closes the connection."""
        await self.queue.aclose(_CLOSE_SECONDS)
        await self.client.close()

    async def _publish(self, message: tuple[str, Secret, str]) -> None:
        subject, data, reply = message
        try:
            await self.client.publish(subject, data, reply)
        except Error as error:
            telemetry.debug("NATS did not accept a message: %s", type(error).__name__)

    async def _deliver(self, message: Msg) -> None:
        self._receive(message)


class NATSConnection:
    """A client of the brokers in the running event loop."""

    def __init__(self, bus: Bus, receive: Callable[[Buffer], None]) -> None:
        self._receive = receive
        self._link = _Link(bus, self._deliver)
        self._requests = f"{bus.prefix}.requests"
        self._broadcasts = f"{bus.prefix}.broadcasts"
        self._inbox = f"_INBOX.{secrets.token_hex(12)}"
        self._assembler = Assembler(MAX_BYTES)
        self._offered: deque[Secret] = deque(maxlen=_MAX_OFFERED)
        self._opening = asyncio.ensure_future(self._link.connect((self._inbox, "")))
        self._closing: asyncio.Future[None] | None = None

    def send(self, message: Secret) -> None:
        """Sends a request to any of the brokers."""
        if len(message) > self._link.client.max_payload > 0:
            self._offered.append(message)
            message = Secret()
        self._link.send(self._requests, message, self._inbox)

    def broadcast(self, message: Secret) -> None:
        """Sends a request to each of the brokers; it is not longer than the server transmits."""
        self._link.send(self._broadcasts, message, self._inbox)

    def withdraw(self, message: Secret) -> bool:
        """Drops a message that waits for the connection, or for a broker that can receive its parts."""
        for offered in self._offered:
            if offered is message:
                self._offered.remove(offered)
                return True
        return self._link.queue.withdraw(lambda queued: queued[1] is message)

    def close(self) -> None:
        """Closes the connection in the background."""
        self._closing = self._closing or asyncio.ensure_future(self._close())

    def _deliver(self, message: Msg) -> None:
        if message.data:
            data = self._assembler.add("", memoryview(message.data))
            if data is not None:
                self._receive(data)
        elif message.reply and self._offered:
            self._link.send(message.reply, self._offered.popleft(), self._inbox)

    async def _close(self) -> None:
        self._opening.cancel()
        await self._link.aclose()


class NATSServer:
    """A member of the queue group of the brokers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._assembler = Assembler(MAX_BYTES)
        self._own = f"{bus.prefix}.broker.{secrets.token_hex(12)}"

    async def start(self, receive: Callable[[Peer, Buffer], None]) -> str:
        """Joins the queue group."""

        def deliver(message: Msg) -> None:
            if not message.data and message.reply:
                self._link.queue.put((message.reply, Secret(), self._own), 0)
            elif message.reply:
                data = self._assembler.add(message.reply, memoryview(message.data))
                if data is not None:
                    receive(Peer(self, message.reply), data)

        self._link = _Link(self._bus, deliver)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                prefix = self._bus.prefix
                await self._link.connect((f"{prefix}.requests", _GROUP), (f"{prefix}.broadcasts", ""), (self._own, ""))
        except (TimeoutError, OSError, Error) as error:
            await self._link.aclose()
            raise ConfigurationError(f"the broker cannot connect to {self._bus.location}") from error
        return self._bus.location

    def send(self, address: Hashable, message: Secret) -> None:
        """Sends a message to the inbox of a client."""
        self._link.send(cast("str", address), message)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._link.aclose()


async def _log(error: Exception) -> None:
    telemetry.debug("the connection to NATS failed: %s", type(error).__name__)
