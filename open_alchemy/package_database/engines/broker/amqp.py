"""AMQP 0-9-1: a subject is a routing key of the exchange ``amq.topic``.

No message is durable or acknowledged: a request without an answer is sent again. A queue is deleted with its last
consumer, and a message that nobody has consumed for a second is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from ...core.secret import Secret
from .. import telemetry
from .bus import CONNECT_SECONDS, BusConnection, BusServer, Receive, Subscription
from .bus_tls import tls_context
from .config import Bus
from .fragmentation import MAX_BYTES
from .send_queue import MAX_SECONDS, SendQueue

_EXCHANGE: Final = "amq.topic"
_HEARTBEAT: Final = 1
"""Seconds. A connection without a heartbeat is closed after 6 seconds."""
_RECONNECT_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 1.0
_ERRORS: Final = (AMQPError, OSError, TimeoutError, RuntimeError)


def _is_not_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


# At DEBUG, the driver logs the content of messages.
for _name in ("aiormq.channel", "aiormq.connection", "aio_pika.channel", "aio_pika.exchange", "aio_pika.queue"):
    logging.getLogger(_name).addFilter(_is_not_debug)


class AMQPLink:
    """A connection to an AMQP server."""

    max_payload = MAX_BYTES

    def __init__(self, bus: Bus, subscriptions: Sequence[Subscription], receive: Receive) -> None:
        self._is_connected = asyncio.Event()
        self._queue = SendQueue(self._publish)
        self._bus = bus
        self._subscriptions = subscriptions
        self._receive = receive
        self._exchange: AbstractExchange | None = None
        self._task = asyncio.ensure_future(self._stay_connected())

    def send(self, subject: str, message: Secret, reply: str) -> None:
        """Sends a message when the bus is connected."""
        self._queue.put((subject, message, reply), len(message))

    def withdraw(self, message: Secret) -> bool:
        """Drops a message that waits for the connection."""
        return self._queue.withdraw(lambda queued: queued[1] is message)

    async def connected(self) -> None:
        """Returns when it is connected."""
        await self._is_connected.wait()

    async def aclose(self) -> None:
        """Sends what is queued, for a second at most, and closes the connection."""
        await self._queue.aclose(_CLOSE_SECONDS)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _stay_connected(self) -> None:
        hosts = list(self._bus.hosts)
        random.shuffle(hosts)
        while True:
            for host in hosts:
                with suppress(*_ERRORS):
                    await self._use(await self._connect(host))
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _connect(self, host: str) -> AbstractConnection:
        name, _, port = host.rpartition(":")
        context = tls_context(self._bus)
        account: dict[str, Any] = {"login": self._bus.user, "password": self._bus.password} if self._bus.user else {}
        account["heartbeat"] = _HEARTBEAT
        connection: AbstractConnection = await aio_pika.connect(
            host=name,
            port=int(port),
            virtualhost=self._bus.parameters.get("vhost", "/"),
            ssl=context is not None,
            ssl_context=context,
            timeout=CONNECT_SECONDS,
            **account,
        )
        return connection

    async def _use(self, connection: AbstractConnection) -> None:
        """Consumes the queues until the connection ends."""
        # ``connection.closed()`` returns only after ``close()``.
        has_ended = asyncio.Event()
        connection.close_callbacks.add(lambda *_: has_ended.set())
        try:
            channel = await connection.channel(publisher_confirms=False)
            self._exchange = await channel.get_exchange(_EXCHANGE, ensure=False)
            for subject, is_shared in self._subscriptions:
                queue = await channel.declare_queue(subject if is_shared else None, auto_delete=True)
                await queue.bind(_EXCHANGE, subject)
                await queue.consume(self._deliver, no_ack=True)
            self._is_connected.set()
            self._queue.open()
            await has_ended.wait()
        finally:
            self._queue.pause()
            await connection.close()

    async def _deliver(self, message: AbstractIncomingMessage) -> None:
        self._receive(memoryview(message.body), message.reply_to or "")

    async def _publish(self, message: tuple[str, Secret, str]) -> None:
        subject, data, reply = message
        assert self._exchange is not None
        try:
            await self._exchange.publish(
                aio_pika.Message(data, reply_to=reply or None, expiration=MAX_SECONDS), subject, mandatory=False
            )
        except _ERRORS as error:
            telemetry.debug("the AMQP server did not accept a message: %s", type(error).__name__)


class AMQPConnection(BusConnection):
    """A client of the brokers on AMQP."""

    link_class = AMQPLink


class AMQPServer(BusServer):
    """A broker on AMQP."""

    link_class = AMQPLink
