"""Hostile clients: refused and logged without content, with bounded memory, while others are served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_alchemy.package_database import connect
from open_alchemy.package_database.broker import admission, rate_limited_log
from open_alchemy.package_database.broker.key_files import NewClient, create_keys
from open_alchemy.package_database.broker.rate_limited_log import LimitedLog
from open_alchemy.package_database.broker.server import Server
from open_alchemy.package_database.engines.broker import messages
from open_alchemy.package_database.engines.broker.client_protocol import wall_clock
from open_alchemy.package_database.engines.broker.codec import Buffer, encode
from open_alchemy.package_database.engines.broker.fragmentation import MAX_BYTES
from open_alchemy.package_database.engines.broker.messages import VERSION, Failed, Request
from open_alchemy.package_database.engines.broker.send_budget import SendBudget
from open_alchemy.package_database.engines.broker.transports import Peer
from open_alchemy.package_database.model.schema import SPECS
from tests.broker.brokers import RunningBroker, memory_store, run_broker, run_secure_broker
from tests.broker.hostile import (
    announce,
    connect_raw,
    frame,
    handshake,
    is_closed_by_peer,
    recorded,
    resident_bytes,
    wait_until,
)
from tests.broker.recording import BlockedEngine
from tests.broker.test_server import GET, broker, in_loop, put


@pytest.fixture(scope="module")
def running() -> Iterator[RunningBroker]:
    with run_broker(memory_store()) as found:
        yield found


def malformed() -> st.SearchStrategy[bytes]:
    """Returns messages that are damaged in one or several places, and others."""
    requests = (GET, put(), messages.Query(SPECS.name, "u"), messages.Call("f", {"a": [1, {"b": b"c"}]}))
    valid = [bytes(encode(Request(VERSION, 1, 1.0, 5.0, body))) for body in requests]

    def damage(parts: tuple[bytes, list[tuple[int, int]]]) -> bytes:
        data = bytearray(parts[0])
        for position, value in parts[1]:
            data[position % len(data)] = value
        return bytes(data)

    changes = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=5)
    return st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(b"M".__add__),
        st.text(max_size=100).map(lambda text: b"J" + text.encode()),
        st.tuples(st.sampled_from(valid), changes).map(damage),
        st.tuples(st.sampled_from(valid), st.integers(0, 200)).map(lambda parts: parts[0][: parts[1]]),
    )


def check_malformed(data: bytes) -> None:
    async def deliver() -> None:
        async with broker() as (_, transport):
            transport.deliver(data)
            # Damaged messages may still be valid, with any id.
            await transport.first()

    asyncio.run(deliver())


@given(malformed())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_received_is_answered(data: bytes) -> None:
    check_malformed(data)


@pytest.mark.long
@given(malformed())
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_10_000_malformed_messages_are_answered(data: bytes) -> None:
    check_malformed(data)


def test_malformed_messages_do_not_delay_other_clients(
    running: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with connect_raw(running.url) as connection, connect(running.url) as database:
        handshake(connection)
        before = running.server.malformed
        connection.sendall(frame(b"Mcanary") * 2_000)
        assert database.list_specs(sub="nobody") == []
        wait_until(lambda: running.server.malformed == before + 2_000)
    assert len([record for record in caplog.records if "malformed" in record.getMessage()]) <= 1
    assert "canary" not in caplog.text


def test_bytes_that_are_no_zmtp_end_their_connection(running: RunningBroker) -> None:
    with connect_raw(running.url) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(100))
        assert is_closed_by_peer(connection)
    with connect(running.url) as database:
        assert database.list_specs(sub="nobody") == []


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 1_000_000_000, 2**63 - 1])
def test_an_announced_message_beyond_the_limit_ends_its_connection(size: int, running: RunningBroker) -> None:
    before = resident_bytes()
    with connect_raw(running.url) as connection:
        handshake(connection)
        connection.sendall(announce(size))
        assert is_closed_by_peer(connection)
    assert resident_bytes() < before + 100_000_000


def check_flood(running: RunningBroker, count: int) -> None:
    before = resident_bytes()
    with ExitStack() as stack, connect(running.url) as database:
        for _ in range(count):
            stack.enter_context(connect_raw(running.url))
        database.create_update_spec(sub="u", name="a", version="1", model_count=1)
        assert database.count_customer_models(sub="u") == 1
    assert resident_bytes() < before + count * 200_000


def test_others_are_served_during_a_flood_of_connections(running: RunningBroker) -> None:
    check_flood(running, 100)


@pytest.mark.long
def test_others_are_served_during_a_flood_of_1_000_connections(running: RunningBroker) -> None:
    check_flood(running, 1_000)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    create_keys(tmp_path, [NewClient("web", ("read", "write"))])
    return tmp_path


def test_a_replayed_connection_has_no_effect(keys: Path) -> None:
    with run_secure_broker(memory_store(), keys) as running:
        key = quote(str(keys / "web.key"))
        with recorded(running.url) as recorder, connect(f"{recorder.address}?key={key}") as database:
            database.create_update_spec(sub="u", name="a", version="1", model_count=1)
            requests = running.server.requests
        assert recorder.sent
        assert b"updated_at_id" not in recorder.sent
        with connect_raw(running.url) as connection:
            connection.sendall(recorder.sent)
            assert is_closed_by_peer(connection)
        assert running.server.requests == requests


def test_a_message_that_is_sent_twice_in_a_connection_ends_it(keys: Path) -> None:
    # CURVE numbers the messages of a connection.
    with run_secure_broker(memory_store(), keys) as running:
        key = quote(str(keys / "web.key"))
        with recorded(running.url) as recorder, connect(f"{recorder.address}?key={key}") as database:
            assert database.list_specs(sub="u") == []
            first = bytes(recorder.sent)
            recorder.repeat(first[first.index(b"\x07MESSAGE") - 2 :])
            wait_until(lambda: recorder.is_closed)
        assert running.server.requests == 1


class PeerServer(Server):
    """Records the addresses of its clients."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.addresses: list[object] = []

    def receive(self, peer: Peer, data: Buffer) -> None:
        self.addresses.append(peer.address)
        super().receive(peer, data)


def first_routing_id(monkeypatch: pytest.MonkeyPatch, seed: int) -> object:
    monkeypatch.setattr("secrets.randbits", lambda _: seed)
    with run_broker(memory_store(), create=PeerServer) as running, connect(running.url) as database:
        database.list_specs(sub="nobody")
        return cast("PeerServer", running.server).addresses[0]


def test_routing_ids_are_unpredictable(monkeypatch: pytest.MonkeyPatch) -> None:
    # A client that claims the next one would end the broker.
    found = [first_routing_id(monkeypatch, seed) for seed in (7, 7, 8)]
    assert found[0] == found[1] != found[2]


LONG = "x" * 2_049


@pytest.mark.parametrize(
    "body", [messages.Subscribe("s", LONG), messages.Get(SPECS.name, LONG, "a"), messages.Query(SPECS.name, "u", LONG)]
)
@in_loop
async def test_a_broker_stores_no_long_keys(body: messages.RequestBody) -> None:
    async with broker() as (_, transport):
        transport.request(1, body)
        failed = await transport.first()
        assert isinstance(failed.body, Failed)
        assert failed.body.code == "Malformed"


@in_loop
async def test_the_requests_of_a_client_are_limited() -> None:
    engine = BlockedEngine()
    async with broker(engine, concurrency=1, client_requests=2) as (server, transport):
        for id_ in range(1, 4):
            transport.request(id_, GET)
        transport.deliver(encode(Request(VERSION, 4, wall_clock(), 5.0, GET)), client="other")
        await asyncio.sleep(0)
        (refused,) = transport.answers
        assert isinstance(refused.body, Failed)
        assert (refused.id, refused.body.code) == (3, "Overloaded")
        assert server.figures()["clients"] == 2
        engine.gate.set()
        await transport.answer(4)
        assert server.figures()["clients"] == 0


@in_loop
async def test_the_bytes_of_waiting_requests_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_QUEUED_BYTES", 100)
    engine = BlockedEngine()
    async with broker(engine, concurrency=1) as (server, transport):
        for id_ in range(1, 4):
            transport.request(id_, GET)
        await asyncio.sleep(0)
        assert [answer.id for answer in transport.answers] == [3]
        assert 0 < server.figures()["queued_bytes"] <= 100
        engine.gate.set()
        await transport.answer(2)
        assert server.figures()["queued_bytes"] == 0


class FakeTracker:
    def __init__(self) -> None:
        self.done = False


def test_a_client_has_a_budget_of_bytes() -> None:
    budget, tracker = SendBudget(max_peer_bytes=10), FakeTracker()
    assert budget.allows("a", 20)
    budget.add("a", tracker, 20)
    assert not budget.allows("a", 1)
    assert budget.allows("b", 1)
    tracker.done = True
    assert budget.allows("a", 1)
    assert budget.total == 0


def test_all_clients_have_a_budget_of_bytes_together() -> None:
    budget, tracker = SendBudget(max_bytes=30), FakeTracker()
    budget.add("a", tracker, 20)
    assert not budget.allows("b", 20)
    tracker.done = True
    assert budget.allows("b", 20)
    assert budget.total == 0


def test_a_kind_of_problem_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = LimitedLog(lambda: now[0])
    for _ in range(5):
        log.report("a problem", "a detail")
    log.report("another")
    now[0] = rate_limited_log.SECONDS
    log.report("a problem")
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "a problem: a detail",
        "another",
        "a problem (4 more were not logged)",
    ]
