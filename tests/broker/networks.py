"""The transports of brokers with one interface, so that a test runs on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import pytest
import zmq

from open_alchemy.package_database.broker.served_store import ServedStore
from open_alchemy.package_database.engines.broker import client_protocol, nats, zeromq
from open_alchemy.package_database.engines.broker.config import BrokerConfig
from tests.broker.brokers import RunningBroker, run_broker
from tests.broker.bus_processes import BusProcess
from tests.broker.proxy import Proxy, run_proxy


class Network:
    """Brokers and clients of one transport. What is opened is closed with the stack.

    Args:
        stack: The stack.
        server: The server of a message bus; None for ZeroMQ.
    """

    def __init__(self, stack: ExitStack, server: BusProcess | None) -> None:
        self.stack = stack
        self.bus = None if server is None else server.bus(uuid4().hex)
        self._server = server

    def run_broker(self, store: ServedStore, **options: Any) -> AbstractContextManager[RunningBroker]:
        """Runs a broker."""
        return run_broker(store, self.bus, **options)

    def start_broker(self, store: ServedStore, **options: Any) -> RunningBroker:
        """Runs a broker until the stack is closed."""
        return self.stack.enter_context(self.run_broker(store, **options))

    def config(self, *brokers: RunningBroker, deadline: float = 60.0) -> BrokerConfig:
        """Returns the configuration of a client that reaches these brokers."""
        if self.bus is not None:
            return BrokerConfig(("bus",), deadline=deadline, bus=self.bus)
        addresses = tuple(address for broker in brokers for address in broker.config.addresses)
        return BrokerConfig(addresses or ("tcp://127.0.0.1:9",), deadline=deadline)

    def proxied(self, broker: RunningBroker, *, deadline: float = 60.0) -> tuple[Proxy, BrokerConfig]:
        """Returns a proxy in front of a broker or of its bus, and the configuration of a client that uses it."""
        address = broker.config.addresses[0] if self._server is None else self._server.host
        proxy = self.stack.enter_context(run_proxy(int(address.rpartition(":")[2])))
        host = f"127.0.0.1:{proxy.port}"
        if self.bus is None:
            return proxy, BrokerConfig((f"tcp://{host}",), deadline=deadline)
        return proxy, BrokerConfig(("bus",), deadline=deadline, bus=self.bus._replace(hosts=(host,)))


AMQP = pytest.param("amqp", marks=pytest.mark.long)
"""RabbitMQ takes long to start."""
on_each_transport = pytest.mark.parametrize("network", ["zeromq", "nats", AMQP], indirect=True)


@contextmanager
def open_network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """Opens the transport that the parameter of a test names."""
    fixture = {"nats": "nats_server", "amqp": "rabbitmq"}.get(request.param)
    with ExitStack() as stack:
        yield Network(stack, None if fixture is None else request.getfixturevalue(fixture))


def shorten(monkeypatch: pytest.MonkeyPatch, silence: float = 0.2) -> None:
    """Shortens the time after which a client sends a request again, and after which a connection counts as half-open.

    AMQP cannot notice the latter sooner than after its heartbeat of a second.
    """
    monkeypatch.setattr(client_protocol, "SILENCE", silence)
    heartbeat = {zmq.HEARTBEAT_IVL: 100, zmq.HEARTBEAT_TIMEOUT: 300, zmq.HEARTBEAT_TTL: 400}
    monkeypatch.setattr(zeromq, "_HEARTBEAT", heartbeat)
    monkeypatch.setitem(nats._OPTIONS, "ping_interval", 0.1)
