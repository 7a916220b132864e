"""Clients with a cache on NATS: their sessions, the broker that grants, and what happens when it or the bus is lost."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.coherence import leases
from open_alchemy.package_database.engines.broker import client_protocol, read_cache
from open_alchemy.package_database.engines.broker.cache_messages import Revoke
from open_alchemy.package_database.engines.broker.codec import Codec
from open_alchemy.package_database.engines.broker.config import BrokerConfig, Bus, CacheOptions
from open_alchemy.package_database.engines.broker.messages import AnswerBody
from open_alchemy.package_database.engines.broker.transports import Peer
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.registry import from_url
from tests.broker.brokers import (
    ADDRESS,
    QUICK,
    Opened,
    RunningBroker,
    be_patient,
    both,
    cache_of,
    memory_store,
    opened_sync,
    run_broker,
    store_at,
    wait_until_cached,
)
from tests.broker.bus_processes import run_nats
from tests.broker.hostile import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "DEFAULT", QUICK)
    monkeypatch.setattr(client_protocol, "SILENCE", 0.2)
    monkeypatch.setattr(read_cache, "_LEASE_SECONDS", 0.3)
    monkeypatch.setattr(read_cache, "_SEARCH_SECONDS", 0.05)


@pytest.fixture
def store(tmp_path: Path) -> Config:
    """A store that several brokers open."""
    return from_url(f"sqlite:///{tmp_path / 'a.db'}", {})


def caching(broker: RunningBroker) -> BrokerConfig:
    return broker.config._replace(cache=CacheOptions())


def publish(database: TDatabase, count: int) -> None:
    database.create_update_spec(sub="u", name="a", version="1", model_count=count)


def hits(database: TDatabase) -> int:
    cache = cache_of(database)
    return 0 if cache is None else cache.info().hits


def wait_until_hit(database: TDatabase) -> None:
    """Reads until a result is from memory."""
    before = hits(database)
    wait_until(lambda: database.count_customer_models(sub="u") >= 0 and hits(database) > before)


def sessions(brokers: list[RunningBroker]) -> list[int]:
    return [int(broker.server.figures()["caching_clients"]) for broker in brokers]


@both
def test_a_write_through_any_broker_is_visible_to_cached_reads(opened: Opened, store: Config, bus: Bus) -> None:
    with ExitStack() as stack:
        brokers = [stack.enter_context(run_broker(store_at(store), bus)) for _ in range(2)]
        reader = opened_sync(stack, caching(brokers[0]))
        writer = opened(stack, brokers[0].config)
        publish(writer, 0)
        wait_until_cached(reader)
        for count in range(1, 20):
            publish(writer, count)
            assert reader.count_customer_models(sub="u") == count
            wait_until_hit(reader)
        assert min(broker.server.requests for broker in brokers) > 0
        # On a busy machine the broker that grants may have been evicted.
        wait_until(lambda: sorted(sessions(brokers)) == [0, 1])


def test_all_clients_have_a_session_with_the_broker_that_grants(store: Config, bus: Bus) -> None:
    with ExitStack() as stack:
        brokers = [stack.enter_context(run_broker(store_at(store), bus)) for _ in range(3)]
        databases = [opened_sync(stack, caching(brokers[0])) for _ in range(3)]
        for database in databases:
            wait_until_cached(database)
        wait_until(lambda: sorted(sessions(brokers)) == [0, 0, 3])


def test_another_broker_grants_without_a_write_after_the_first_one_was_lost(
    store: Config, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        brokers = [stack.enter_context(run_broker(store_at(store), bus)) for _ in range(2)]
        database = opened_sync(stack, caching(brokers[0]))
        publish(database, 1)
        wait_until_cached(database)
        lost = brokers.pop(sessions(brokers).index(1))
        monkeypatch.setattr(lost.server, "send", lambda *_: None)
        monkeypatch.setattr(lost.server, "immediate", dict.fromkeys(lost.server.immediate, lambda *_: None))
        wait_until(lambda: database.count_customer_models(sub="u") == 1 and sessions(brokers) == [1])
        wait_until_hit(database)
        publish(database, 2)
        assert database.count_customer_models(sub="u") == 2


@both
def test_cached_reads_are_not_stale_after_the_bus_was_down(opened: Opened) -> None:
    with run_nats() as server, ExitStack() as stack:
        broker = stack.enter_context(run_broker(memory_store(), server.bus("a")))
        reader, writer = opened_sync(stack, caching(broker)), opened(stack, caching(broker))
        publish(writer, 1)
        wait_until_cached(reader)
        wait_until_hit(reader)
        for count in range(2, 4):
            server.stop()
            server.start()
            publish(writer, count)
            assert reader.count_customer_models(sub="u") == count
            wait_until_hit(reader)


def test_a_revocation_that_the_bus_loses_ends_the_session(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        broker = stack.enter_context(run_broker(memory_store(), bus))
        reader, writer = opened_sync(stack, caching(broker)), opened_sync(stack, broker.config)
        publish(writer, 1)
        wait_until_cached(reader)
        wait_until_hit(reader)
        send = broker.server.send
        lost: list[AnswerBody] = []

        def lose_first(peer: Peer, id_: int, body: AnswerBody, codec: Codec) -> None:
            if isinstance(body, Revoke) and not lost:
                lost.append(body)
            else:
                send(peer, id_, body, codec)

        monkeypatch.setattr(broker.server, "send", lose_first)
        for count in range(2, 5):
            publish(writer, count)
            assert reader.count_customer_models(sub="u") == count
            wait_until_hit(reader)
        assert len(lost) == 1


def test_brokers_on_a_bus_and_on_tcp_reach_each_other(store: Config, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    with ExitStack() as stack:
        on_both = stack.enter_context(run_broker(store_at(store), bus, address=ADDRESS))
        by_address = BrokerConfig(on_both.config.addresses[1:])
        reader = opened_sync(stack, by_address._replace(cache=CacheOptions()))
        wait_until_cached(reader)
        others = [run_broker(store_at(store), bus), run_broker(store_at(store))]
        for config in [caching(stack.enter_context(other)) for other in others]:
            writer = opened_sync(stack, config)
            wait_until_cached(writer)
            for count in range(1, 10):
                publish(writer, count)
                assert reader.count_customer_models(sub="u") == count
        # None was evicted.
        assert sessions([on_both]) == [3]
