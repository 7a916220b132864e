"""Faults of brokers, of the network and of the store, on each transport and with each API (docs/faults.md)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database import TDatabase, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Put, Query, StoreOperation, Transact
from open_alchemy.package_database.engines.broker import messages
from open_alchemy.package_database.engines.broker.client_protocol import wall_clock
from open_alchemy.package_database.engines.broker.codec import encode
from open_alchemy.package_database.engines.broker.config import BrokerConfig
from open_alchemy.package_database.engines.broker.messages import VERSION, Request
from open_alchemy.package_database.engines.broker.transport_registry import find_connect
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine
from tests.apis import execute
from tests.broker.brokers import Opened, RunningBroker, both, memory_store, opened_sync, run_broker, store_at, store_of
from tests.broker.bus_processes import BusProcess, run_nats, run_rabbitmq
from tests.broker.hostile import resident_bytes, wait_until
from tests.broker.networks import AMQP, Network, on_each_transport, shorten


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


def publish(database: TDatabase, version: str) -> None:
    database.create_update_spec(sub="u", name="a", version=version, model_count=1)


def versions(database: TDatabase) -> list[str]:
    return [found["version"] for found in database.list_spec_versions(sub="u", name="a")]


def abandon(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a broker receive requests, and execute and answer none."""
    monkeypatch.setattr(broker.server, "_start", lambda _: None)
    monkeypatch.setattr(broker.server, "_report_work", lambda: None)


@both
@on_each_transport
def test_another_broker_executes_what_the_first_one_does_not_answer(
    opened: Opened, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = memory_store()
    first, second = network.start_broker(store), network.start_broker(store)
    database = opened(network.stack, network.config(first, second))
    publish(database, "1")
    abandon(first, monkeypatch)
    publish(database, "2")
    assert versions(database) == ["1", "2"]


@both
@on_each_transport
def test_another_broker_executes_what_one_that_stops_refuses(opened: Opened, network: Network, tmp_path: Path) -> None:
    config = from_url(f"sqlite:///{tmp_path / 'a.db'}", {})
    second = network.start_broker(store_at(config))
    with network.run_broker(store_at(config)) as first:
        database = opened(network.stack, network.config(first, second))
        publish(database, "1")
    publish(database, "2")
    assert versions(database) == ["1", "2"]


@both
@on_each_transport
def test_without_a_broker_a_call_fails_at_its_deadline(opened: Opened, network: Network) -> None:
    database = opened(network.stack, network.config(deadline=0.3))
    with pytest.raises(UnavailableError, match="no broker answered before the deadline"):
        publish(database, "1")


@both
@on_each_transport
def test_writes_take_effect_once_while_the_network_is_down_and_back(opened: Opened, network: Network) -> None:
    proxy, config = network.proxied(network.start_broker(memory_store()))
    database = opened(network.stack, config)
    publish(database, "0")
    proxy.stop()
    back = threading.Timer(0.3, proxy.start)
    back.start()
    for version in range(1, 5):
        publish(database, str(version))
    back.join()
    assert versions(database) == ["0", "1", "2", "3", "4"]


BUSES: dict[str, Callable[[Path], AbstractContextManager[BusProcess]]] = {
    "nats": lambda _: run_nats(),
    "amqp": run_rabbitmq,
}


@both
@pytest.mark.parametrize("scheme", ["nats", AMQP])
def test_writes_take_effect_once_while_the_bus_is_down_and_back(opened: Opened, scheme: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(BUSES[scheme](tmp_path))
        broker = stack.enter_context(run_broker(memory_store(), server.bus("a")))
        database = opened(stack, broker.config._replace(deadline=120))
        publish(database, "0")
        server.stop()
        restart = threading.Timer(0.3, server.start)
        restart.start()
        for version in range(1, 5):
            publish(database, str(version))
        restart.join()
        assert versions(database) == ["0", "1", "2", "3", "4"]


# nats-py does not close a connection that ends during its handshake.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@both
@on_each_transport
def test_writes_take_effect_once_while_connections_are_cut(opened: Opened, network: Network) -> None:
    proxy, config = network.proxied(network.start_broker(memory_store()))
    database = opened(network.stack, config)
    publish(database, "0")
    cuts = [threading.Timer(0.05 * number, proxy.cut) for number in range(1, 8)]
    for cut in cuts:
        cut.start()
    written = ["0"]
    while any(cut.is_alive() for cut in cuts):
        written.append(str(len(written)))
        publish(database, written[-1])
    assert versions(database) == written


@both
@on_each_transport
def test_a_half_open_connection_is_closed(opened: Opened, network: Network) -> None:
    proxy, config = network.proxied(network.start_broker(memory_store()))
    database = opened(network.stack, config)
    publish(database, "1")
    proxy.stop_forwarding()
    publish(database, "2")
    assert versions(database) == ["1", "2"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@both
@on_each_transport
def test_messages_of_millions_of_bytes_arrive_after_cut_connections(opened: Opened, network: Network) -> None:
    keys = [f"latest#{number:02}" for number in range(20)]
    items = [{"sub": "u", "updated_at_id": key, "id": key, "title": "x" * 190_000} for key in keys]
    proxy, config = network.proxied(network.start_broker(memory_store()))
    database = opened(network.stack, config)
    assert execute(database, Transact(tuple(Put(SPECS, item) for item in items), "token")) == {}
    proxy.cut_after(1_500_000)
    assert execute(database, Query(SPECS, "u")) == items
    assert proxy.cuts == 1


@both
@on_each_transport
def test_a_long_answer_arrives_over_a_slow_connection(opened: Opened, network: Network) -> None:
    items = [{"sub": "u", "updated_at_id": key, "id": key, "title": "x" * 190_000} for key in "abcd"]
    proxy, config = network.proxied(network.start_broker(memory_store()))
    database = opened(network.stack, config)
    assert execute(database, Transact(tuple(Put(SPECS, item) for item in items), "token")) == {}
    # Longer than the time after which a request is sent again, or a connection counts as half-open.
    proxy.rate = 1_000_000
    assert execute(database, Query(SPECS, "u")) == items


class InterruptedEngine(AsyncMemoryEngine):
    """A store that is down while the test decides so."""

    is_down = False

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> object:
        if self.is_down:
            raise UnavailableError("the server at a secret place is down", code="Down")
        return await super().execute(operation, deadline)


@both
@on_each_transport
def test_clients_work_again_when_the_store_is_back(opened: Opened, network: Network) -> None:
    engine = InterruptedEngine()
    broker = network.start_broker(store_of(MemoryEngine(), engine))
    database = opened(network.stack, network.config(broker))
    publish(database, "1")
    engine.is_down = True
    for _ in range(3):
        with pytest.raises(UnavailableError, match="failed in the store behind the broker") as caught:
            database.list_specs(sub="u")
        assert "secret" not in str(caught.value)
    engine.is_down = False
    assert versions(database) == ["1"]


async def request_pages(config: BrokerConfig, count: int, stop: Any) -> None:
    """Requests pages of about a million bytes, and waits until the test ends without reading one."""
    connection = find_connect(config)(config.addresses[0], lambda _: None)
    for id_ in range(1, count + 1):
        connection.send(encode(Request(VERSION, id_, wall_clock(), 60.0, messages.Query(SPECS.name, "big"))))
    await asyncio.to_thread(stop.wait)
    await connection.aclose()


@on_each_transport
def test_a_client_that_never_reads_delays_no_other_and_uses_bounded_memory(network: Network) -> None:
    broker = network.start_broker(memory_store(), concurrency=4)
    database = opened_sync(network.stack, network.config(broker))
    for number in range(40):
        database.create_update_spec(sub="big", name=f"a{number}", version="1", model_count=1, description="x" * 25_000)
    proxy, config = network.proxied(broker)
    opened_sync(network.stack, config).list_specs(sub="nobody")
    proxy.stop_answers()
    before, received, stop = resident_bytes(), broker.server.requests, threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(request_pages(config, 100, stop)))
    thread.start()
    try:
        wait_until(lambda: broker.server.requests >= received + 100)
        assert database.count_customer_models(sub="big") == 40
        wait_until(lambda: broker.server.figures()["in_progress"] == 0)
        assert resident_bytes() < before + 70_000_000
    finally:
        stop.set()
        thread.join()
