"""NATS: the brokers are a queue group."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from ...core.secret import Secret
from .. import telemetry
from .bus import BusConnection, BusServer, Receive, Subscription
from .bus_tls import tls_context
from .config import Bus
from .fragmentation import MAX_BYTES
from .send_queue import SendQueue

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
_MAX_PAYLOAD: Final = 1_000_000
"""Less than the default of a server. That of the server is known when it is connected."""
_CLOSE_SECONDS: Final = 1.0


class NATSLink:
    """A connection to NATS."""

    def __init__(self, bus: Bus, subscriptions: Sequence[Subscription], receive: Receive) -> None:
        self._client = Client()
        self._queue = SendQueue(self._publish)
        self._receive = receive
        self._is_closed = False
        self._opening = asyncio.ensure_future(self._open(bus, subscriptions))

    @property
    def max_payload(self) -> int:
        """The server's, once it is connected."""
        return self._client.max_payload if self._client.is_connected else _MAX_PAYLOAD

    def send(self, subject: str, message: Secret, reply: str) -> None:
        """Sends a message when the bus is connected."""
        self._queue.put((subject, message, reply), len(message))

    def withdraw(self, message: Secret) -> bool:
        """Drops a message that waits for the connection."""
        return self._queue.withdraw(lambda queued: queued[1] is message)

    async def connected(self) -> None:
        """Returns when it is connected."""
        await asyncio.shield(self._opening)

    async def aclose(self) -> None:
        """Sends what is queued, for a second at most, and closes the connection."""
        await self._queue.aclose(_CLOSE_SECONDS)
        self._is_closed = True
        self._opening.cancel()
        await asyncio.wait([self._opening], timeout=_CLOSE_SECONDS)
        await self._client.close()

    async def _open(self, bus: Bus, subscriptions: Sequence[Subscription]) -> None:
        await self._client.connect(
            [f"nats://{host}" for host in bus.hosts],
            user=bus.user or None,
            password=bus.password or None,
            user_credentials=cast("Any", bus.file("credentials")),
            nkeys_seed=bus.parameters.get("nkey"),
            tls=cast("Any", tls_context(bus)),
            error_cb=self._failed,
            reconnected_cb=self._connected,
            disconnected_cb=self._disconnected,
            **_OPTIONS,
        )
        for subject, is_shared in subscriptions:
            group = _GROUP if is_shared else ""
            await self._client.subscribe(subject, group, cb=self._deliver, pending_bytes_limit=4 * MAX_BYTES)
        await self._connected()

    async def _connected(self) -> None:
        self._queue.open()

    async def _disconnected(self) -> None:
        self._queue.pause()

    async def _failed(self, error: Exception) -> None:
        telemetry.debug("the connection to NATS failed: %s", type(error).__name__)
        if self._is_closed:
            # nats-py suppresses the cancellation of an attempt to connect.
            raise asyncio.CancelledError

    async def _publish(self, message: tuple[str, Secret, str]) -> None:
        try:
            await self._client.publish(*message)
        except Error as error:
            await self._failed(error)

    async def _deliver(self, message: Msg) -> None:
        # nats-py counts PINGs without a PONG, which follows all that the server has queued for a slow connection.
        self._client._pings_outstanding = 0  # noqa: SLF001
        self._receive(memoryview(message.data), message.reply)


class NATSConnection(BusConnection):
    """A client of the brokers on NATS."""

    link_class = NATSLink


class NATSServer(BusServer):
    """A broker on NATS."""

    link_class = NATSLink
