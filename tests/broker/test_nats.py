"""Brokers on NATS: a queue group, long messages, half-open connections of a broker, TLS."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from open_alchemy.package_database import ConfigurationError, TDatabase, UnavailableError
from open_alchemy.package_database.broker.listeners import open_transport
from open_alchemy.package_database.core.operations import Put, Query, Transact
from open_alchemy.package_database.engines.broker import bus as bus_transport
from open_alchemy.package_database.engines.broker.config import BrokerConfig, Bus
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import SPECS
from tests.apis import execute
from tests.broker.brokers import Opened, both, memory_store, run_broker
from tests.broker.bus_processes import NATSProcess, run_nats
from tests.broker.networks import shorten
from tests.broker.proxy import run_proxy


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


def publish(database: TDatabase, version: str) -> None:
    database.create_update_spec(sub="u", name="a", version=version, model_count=1)


def versions(database: TDatabase) -> list[str]:
    return sorted(found["version"] for found in database.list_spec_versions(sub="u", name="a"))


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
def test_a_half_open_connection_of_a_broker_is_closed(opened: Opened, nats_server: NATSProcess, bus: Bus) -> None:
    with ExitStack() as stack:
        proxy = stack.enter_context(run_proxy(nats_server.port))
        proxied = bus._replace(hosts=(f"127.0.0.1:{proxy.port}",))
        stack.enter_context(run_broker(memory_store(), proxied))
        database = opened(stack, BrokerConfig(("bus",), deadline=60, bus=bus))
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
