"""The AMQP adapter on a server in memory, with the driver's interface. tests/contract uses RabbitMQ (``--long``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import pytest

from open_alchemy.package_database import ConfigurationError
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.broker import bus as bus_module
from open_alchemy.package_database.engines.broker.amqp import AMQPConnection, AMQPServer
from open_alchemy.package_database.engines.broker.config import Bus
from open_alchemy.package_database.engines.broker.transports import Peer

BUS = Bus("amqp", ("host:5672", "other:5672"), "prefix", "user", "password", {"vhost": "tests"})


@dataclass
class Message:
    """A message that arrived."""

    body: bytes
    reply_to: str | None


@dataclass
class Queue:
    """A queue, whose messages get to its consumers in turn."""

    bindings: dict[str, list[Queue]]
    consumers: list[Callable[[Message], Awaitable[None]]] = field(default_factory=list)

    async def bind(self, exchange: str, key: str) -> None:
        assert exchange == "amq.topic"
        queues = self.bindings.setdefault(key, [])
        if not any(queue is self for queue in queues):
            queues.append(self)

    async def consume(self, callback: Callable[[Message], Awaitable[None]], *, no_ack: bool) -> None:
        assert no_ack
        self.consumers.append(callback)

    async def deliver(self, message: Message) -> None:
        consumer = self.consumers.pop(0)
        self.consumers.append(consumer)
        await consumer(message)


class Server:
    """Exchanges and queues. It is also its channel and its exchange."""

    def __init__(self) -> None:
        self.bindings: dict[str, list[Queue]] = {}
        self.named: dict[str, Queue] = {}
        self.connections: list[Connection] = []
        self.refusals = 0
        self.hosts: list[str] = []
        self.is_broken = False
        self.published = 0
        self.has_reconnected = asyncio.Event()

    async def connect(self, **options: Any) -> Connection:
        assert (options["login"], options["password"]) == ("user", "password")
        assert (options["virtualhost"], options["ssl"]) == ("tests", False)
        self.hosts.append(options["host"])
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError
        connection = Connection(self)
        self.connections.append(connection)
        if len(self.connections) > 1:
            self.has_reconnected.set()
        return connection

    async def get_exchange(self, name: str, *, ensure: bool) -> Server:
        assert (name, ensure) == ("amq.topic", False)
        return self

    async def declare_queue(self, name: str | None, *, auto_delete: bool) -> Queue:
        assert auto_delete
        return Queue(self.bindings) if name is None else self.named.setdefault(name, Queue(self.bindings))

    async def publish(self, message: aio_pika.Message, key: str, *, mandatory: bool) -> None:
        assert not mandatory
        self.published += 1
        if self.is_broken:
            raise RuntimeError("the channel is closed")
        for queue in self.bindings.get(key, []):
            await queue.deliver(Message(message.body, message.reply_to))


class Connection:
    """A connection to the server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.has_ended = asyncio.Event()
        self.close_callbacks: set[Callable[[], None]] = set()

    async def channel(self, *, publisher_confirms: bool) -> Server:
        assert not publisher_confirms
        return self.server

    def end(self) -> None:
        for callback in self.close_callbacks:
            callback()

    async def close(self) -> None:
        self.has_ended.set()


class Received:
    """Collects what a side of the bus receives."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.peers: list[Peer] = []
        self._arrived = asyncio.Event()

    def request(self, peer: Peer, data: Any) -> None:
        self.peers.append(peer)
        self.answer(data)

    def answer(self, data: Any) -> None:
        self.messages.append(bytes(data))
        self._arrived.set()

    async def first(self) -> bytes:
        await asyncio.wait_for(self._arrived.wait(), 60)
        return self.messages[0]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    fake = Server()
    monkeypatch.setattr(aio_pika, "connect", fake.connect)
    return fake


def test_a_request_gets_to_one_broker_and_its_answer_to_the_client(server: Server) -> None:
    async def run() -> None:
        requests, answers = [Received(), Received()], Received()
        brokers = [AMQPServer(BUS), AMQPServer(BUS)]
        for broker, received in zip(brokers, requests, strict=True):
            assert await broker.start(received.request) == "amqp://host:5672,other:5672/prefix"
        client = AMQPConnection(BUS, answers.answer)
        client.send(Secret(b"request"))
        assert await requests[0].first() == b"request"
        assert requests[1].messages == []
        brokers[0].send(requests[0].peers[0].address, Secret(b"answer"))
        assert await answers.first() == b"answer"
        await client.aclose()
        for broker in brokers:
            await broker.aclose()

    asyncio.run(run())
    assert all(connection.has_ended.is_set() for connection in server.connections)


def test_a_broadcast_gets_to_each_broker(server: Server) -> None:
    async def run() -> None:
        requests = [Received(), Received()]
        brokers = [AMQPServer(BUS), AMQPServer(BUS)]
        for broker, received in zip(brokers, requests, strict=True):
            await broker.start(received.request)
        client = AMQPConnection(BUS, Received().answer)
        client.broadcast(Secret(b"subscribe"))
        assert [await received.first() for received in requests] == [b"subscribe"] * 2
        await client.aclose()
        for broker in brokers:
            await broker.aclose()

    asyncio.run(run())


def test_a_connection_that_ended_is_opened_again_at_any_of_the_hosts(server: Server) -> None:
    async def run() -> None:
        requests, broker = Received(), AMQPServer(BUS)
        server.refusals = 1
        await broker.start(requests.request)
        server.connections[0].end()
        await asyncio.wait_for(server.has_reconnected.wait(), 60)
        client = AMQPConnection(BUS, Received().answer)
        client.send(Secret(b"request"))
        assert await requests.first() == b"request"
        await client.aclose()
        await broker.aclose()

    asyncio.run(run())
    assert set(server.hosts) == {"host", "other"}


@pytest.mark.parametrize("reply", ["requests", "broadcasts"])
def test_brokers_do_not_answer_each_other_without_end(server: Server, reply: str) -> None:
    async def run() -> None:
        brokers = [AMQPServer(BUS), AMQPServer(BUS)]
        for broker in brokers:
            await broker.start(Received().request)
        await server.publish(aio_pika.Message(b"", reply_to=f"prefix.{reply}"), "prefix.requests", mandatory=False)
        for _ in range(100):
            await asyncio.sleep(0)
        assert server.published < 10
        for broker in brokers:
            await broker.aclose()

    asyncio.run(run())


def test_a_message_that_waits_for_the_connection_can_be_withdrawn(server: Server) -> None:
    async def run() -> None:
        client = AMQPConnection(BUS, Received().answer)
        message = Secret(b"request")
        client.send(message)
        assert client.withdraw(message)
        assert not client.withdraw(message)
        await client.aclose()

    asyncio.run(run())


def test_a_message_that_the_server_does_not_accept_is_logged_without_its_content(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        requests, broker, client = Received(), AMQPServer(BUS), AMQPConnection(BUS, Received().answer)
        await broker.start(requests.request)
        server.is_broken = True
        client.send(Secret(b"a secret"))
        await client.aclose()
        await broker.aclose()
        assert requests.messages == []

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())
    assert "the AMQP server did not accept a message: RuntimeError" in caplog.text
    assert "a secret" not in caplog.text


def test_a_broker_without_a_server_does_not_start(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "CONNECT_SECONDS", 0.05)
    server.refusals = 1_000

    with pytest.raises(ConfigurationError, match="cannot connect to amqp://host:5672"):
        asyncio.run(AMQPServer(BUS).start(Received().request))


def test_the_driver_logs_no_content_of_messages() -> None:
    record = logging.LogRecord("aiormq.channel", logging.DEBUG, "", 0, "a body", None, None)
    assert not logging.getLogger("aiormq.channel").filter(record)
