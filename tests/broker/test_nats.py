"""Brokers on NATS: a queue group, long messages, a bus or a broker that stops, half-open connections, TLS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme

from open_alchemy.package_database import ConfigurationError, TDatabase, UnavailableError
from open_alchemy.package_database.broker.addresses import open_transport
from open_alchemy.package_database.core.operations import Put, Query, Transact
from open_alchemy.package_database.engines.broker import bus as bus_transport
from open_alchemy.package_database.engines.broker import exchange, nats
from open_alchemy.package_database.engines.broker.config import BrokerConfig, Bus
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import SPECS
from tests.apis import execute
from tests.broker.brokers import Opened, RunningBroker, both, memory_store, run_broker, store_at
from tests.broker.nats_server import NATSProcess, run_nats
from tests.broker.proxy import run_proxy


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SILENCE", 0.2)


@pytest.fixture(scope="module")
def server() -> Iterator[NATSProcess]:
    with run_nats() as running:
        yield running


@pytest.fixture
def bus(server: NATSProcess) -> Bus:
    return server.bus(uuid4().hex)


def publish(database: TDatabase, version: str) -> None:
    database.create_update_spec(sub="u", name="a", version=version, model_count=1)


def versions(database: TDatabase) -> list[str]:
    return sorted(found["version"] for found in database.list_spec_versions(sub="u", name="a"))


def abandon(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a broker receive requests, and execute and answer none."""
    monkeypatch.setattr(broker.server, "_start", lambda _: None)
    monkeypatch.setattr(broker.server, "_report_work", lambda: None)


@both
def test_a_request_is_executed_by_one_of_the_brokers(opened: Opened, bus: Bus) -> None:
    store = memory_store()
    with ExitStack() as stack:
        brokers = [stack.enter_context(run_broker(store, bus)) for _ in range(2)]
        database = opened(stack, brokers[0].config)
        for version in range(20):
            publish(database, str(version))
        assert len(versions(database)) == 20
        assert min(broker.server.requests for broker in brokers) > 0


@both
def test_messages_that_are_longer_than_the_server_transmits_are_sent_in_parts(opened: Opened, bus: Bus) -> None:
    keys = [f"latest#{number:02}" for number in range(20)]
    items = [{"sub": "u", "updated_at_id": key, "id": key, "title": "x" * 190_000} for key in keys]
    store = memory_store()
    with ExitStack() as stack:
        brokers = [stack.enter_context(run_broker(store, bus)) for _ in range(2)]
        database = opened(stack, brokers[0].config)
        assert execute(database, Transact(tuple(Put(SPECS, item) for item in items), "token")) == {}
        assert execute(database, Query(SPECS, "u")) == items


@both
def test_another_broker_takes_over(opened: Opened, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    store = memory_store()
    with ExitStack() as stack:
        first = stack.enter_context(run_broker(store, bus))
        database = opened(stack, first.config)
        publish(database, "1")
        abandon(first, monkeypatch)
        with run_broker(store, bus):
            publish(database, "2")
            assert versions(database) == ["1", "2"]


@both
def test_a_broker_that_stops_refuses_requests_which_another_one_executes(
    opened: Opened, bus: Bus, tmp_path: Path
) -> None:
    config = from_url(f"sqlite:///{tmp_path / 'a.db'}", {})
    with ExitStack() as stack:
        second = stack.enter_context(run_broker(store_at(config), bus))
        with run_broker(store_at(config), bus):
            database = opened(stack, second.config)
            publish(database, "1")
        publish(database, "2")
        assert versions(database) == ["1", "2"]


@both
def test_writes_take_effect_once_while_the_bus_is_down_and_back(opened: Opened) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(run_nats())
        broker = stack.enter_context(run_broker(memory_store(), server.bus("a")))
        database = opened(stack, broker.config._replace(deadline=20))
        publish(database, "0")
        server.stop()
        restart = threading.Timer(0.3, server.start)
        restart.start()
        for version in range(1, 5):
            publish(database, str(version))
        restart.join()
        assert versions(database) == ["0", "1", "2", "3", "4"]


@both
def test_a_client_may_start_before_the_bus(opened: Opened) -> None:
    with run_nats() as server, ExitStack() as stack:
        server.stop()
        database = opened(stack, BrokerConfig(("bus",), deadline=0.3, bus=server.bus("a")))
        with pytest.raises(UnavailableError, match="no broker answered before the deadline"):
            publish(database, "1")
        server.start()
        stack.enter_context(run_broker(memory_store(), server.bus("a")))
        other = opened(stack, BrokerConfig(("bus",), bus=server.bus("a")))
        publish(other, "1")
        assert versions(other) == ["1"]


@both
@pytest.mark.parametrize("side", ["client", "broker"])
def test_a_half_open_connection_is_closed(
    opened: Opened, side: str, server: NATSProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(nats._OPTIONS, "ping_interval", 0.1)
    with ExitStack() as stack:
        proxy = stack.enter_context(run_proxy(server.port))
        direct = server.bus(uuid4().hex)
        proxied = direct._replace(hosts=(f"127.0.0.1:{proxy.port}",))
        broker = stack.enter_context(run_broker(memory_store(), proxied if side == "broker" else direct))
        database = opened(stack, broker.config._replace(deadline=20, bus=proxied if side == "client" else direct))
        publish(database, "1")
        proxy.stop_forwarding()
        publish(database, "2")
        assert versions(database) == ["1", "2"]


@both
def test_a_bus_may_require_tls_and_a_password(opened: Opened, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = ("--tls", "--tlscert", str(tmp_path / "cert.pem"), "--tlskey", str(tmp_path / "key.pem"))
    with ExitStack() as stack:
        server = stack.enter_context(run_nats(*files, "--user", "u", "--pass", "p w"))
        url = f"nats://u:p%20w@{server.host}/a?tls_ca={tmp_path / 'ca.pem'}"
        config: Any = from_url(url, {})
        assert "p w" not in repr(config)
        stack.enter_context(run_broker(memory_store(), config.bus))
        database = opened(stack, config)
        publish(database, "1")
        assert versions(database) == ["1"]


def test_a_broker_without_a_bus_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_transport, "CONNECT_SECONDS", 0.1)

    async def start() -> None:
        await open_transport("nats://127.0.0.1:9").start(lambda *_: None)

    with pytest.raises(ConfigurationError, match="cannot connect to nats://"):
        asyncio.run(start())
