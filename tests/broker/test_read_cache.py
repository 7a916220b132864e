"""Clients with a cache over real sockets: hits, revocations, sessions, failover, forks and `cached`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from open_alchemy.package_database import AsyncTDatabase, RefusedError, TDatabase, cached
from open_alchemy.package_database.broker import coherence_driver
from open_alchemy.package_database.coherence import leases
from open_alchemy.package_database.coherence.cache import CachedRead
from open_alchemy.package_database.coherence.leases import Instant
from open_alchemy.package_database.core.operations import Query
from open_alchemy.package_database.database import Database, open_async_database, open_database
from open_alchemy.package_database.engines.broker import cache_messages, client_protocol
from open_alchemy.package_database.engines.broker.async_engine import AsyncBrokerEngine
from open_alchemy.package_database.engines.broker.background_loop_engine import CachingEngine
from open_alchemy.package_database.engines.broker.client_protocol import Requests
from open_alchemy.package_database.engines.broker.config import BrokerConfig, CacheOptions
from open_alchemy.package_database.engines.broker.granting_brokers import FoundGranter
from open_alchemy.package_database.engines.broker.read_cache import ReadCache
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model import broker_registry
from open_alchemy.package_database.model.schema import SPECS
from tests.apis import blocking
from tests.broker.brokers import (
    QUICK,
    RunningBroker,
    be_patient,
    cache_of,
    memory_store,
    run_broker,
    store_at,
    wait_until_cached,
)
from tests.broker.hostile import wait_until
from tests.canary import HASH, SALT, find

UNUSED = "tcp://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "DEFAULT", QUICK)
    monkeypatch.setattr(client_protocol, "SILENCE", 0.1)


@pytest.fixture
def broker() -> Iterator[RunningBroker]:
    with run_broker(memory_store()) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Config:
    """A store that several brokers open."""
    return from_url(f"sqlite:///{tmp_path / 'a.db'}", {})


def opened_sync(stack: ExitStack, config: BrokerConfig, options: CacheOptions | None = None) -> TDatabase:
    return stack.enter_context(open_database(CachingEngine(config._replace(cache=options or CacheOptions()))))


def opened_async(stack: ExitStack, config: BrokerConfig, options: CacheOptions | None = None) -> TDatabase:
    engine = AsyncBrokerEngine(config._replace(cache=options or CacheOptions()))
    return stack.enter_context(blocking(open_async_database(engine)))


both = pytest.mark.parametrize("opened", [opened_sync, opened_async])
Opened = Callable[..., TDatabase]


def figures(database: TDatabase) -> tuple[int, int]:
    """Returns the hits and the entries of the cache."""
    info = cast("ReadCache", cache_of(database)).info()
    return info.hits, info.entries


def publish(database: TDatabase, version: str) -> None:
    database.create_update_spec(sub="u", name="a", version=version, model_count=1)


def versions(database: TDatabase) -> list[str]:
    return [found["version"] for found in database.list_spec_versions(sub="u", name="a")]


@both
def test_a_repeated_read_sends_no_request(opened: Opened, broker: RunningBroker) -> None:
    with ExitStack() as stack:
        database = opened(stack, broker.config)
        publish(database, "1")
        wait_until_cached(database)
        read_until(lambda: figures(database)[0], lambda: (versions(database), database.get_spec(sub="u", name="a")))
        requests = broker.server.requests
        hits = figures(database)[0]
        for _ in range(50):
            assert versions(database) == ["1"]
        assert figures(database)[0] >= hits + 50
        # Only renewals of the lease.
        assert broker.server.requests < requests + 50


@both
def test_a_read_that_was_requested_is_one_miss(opened: Opened, broker: RunningBroker) -> None:
    with ExitStack() as stack:
        database = opened(stack, broker.config)
        wait_until_cached(database)
        cache = cast("ReadCache", cache_of(database))
        misses = cache.info().misses
        database.get_spec(sub="u", name="never read before")
        assert cache.info().misses == misses + 1


def test_each_event_loop_has_a_cache_until_the_database_is_closed(broker: RunningBroker) -> None:
    engine = AsyncBrokerEngine(broker.config._replace(cache=CacheOptions()))
    database = open_async_database(engine)

    async def read_until_cached() -> None:
        cache = None
        async with asyncio.timeout(60):
            while cache is None or not cache.info().hits:
                await database.get_spec(sub="u", name="a")
                cache = engine._clients[asyncio.get_running_loop()].cache
                await asyncio.sleep(0.01)

    async def read() -> int:
        cache = engine._clients[asyncio.get_running_loop()].cache
        assert cache is not None
        await database.get_spec(sub="u", name="a")
        return cache.info().hits

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(read_until_cached())
        second.run(read_until_cached())
        read_until(lambda: first.run(read()), lambda: None)
        first.run(database.aclose())
        with pytest.raises(RefusedError, match="the database was closed"):
            second.run(read())


def read_until(condition: Callable[[], Any], read: Callable[[], Any]) -> None:
    before = condition()

    def has_changed() -> bool:
        read()
        return bool(condition() != before)

    wait_until(has_changed)


@both
def test_a_write_of_another_client_is_visible_when_it_is_acknowledged(opened: Opened, broker: RunningBroker) -> None:
    with ExitStack() as stack:
        reader, writer = opened_sync(stack, broker.config), opened(stack, broker.config)
        publish(writer, "0")
        wait_until_cached(reader)
        for number in range(1, 15):
            assert reader.get_latest_spec_version(sub="u", name="a") == str(number - 1)
            publish(writer, str(number))
            assert reader.get_latest_spec_version(sub="u", name="a") == str(number)
            assert len(versions(reader)) == number + 1


def test_a_client_without_a_cache_revokes_the_caches_of_others(broker: RunningBroker) -> None:
    with ExitStack() as stack:
        reader = opened_sync(stack, broker.config)
        writer = stack.enter_context(open_database(broker.config.open_engine(())))
        publish(writer, "1")
        wait_until_cached(reader)
        assert versions(reader) == ["1"]
        publish(writer, "2")
        assert versions(reader) == ["1", "2"]


def test_two_brokers_revoke_each_others_clients(store: Config) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(run_broker(store_at(store)))
        second = stack.enter_context(run_broker(store_at(store)))
        reader, writer = opened_sync(stack, first.config), opened_sync(stack, second.config)
        publish(writer, "0")
        wait_until_cached(reader)
        for number in range(1, 20):
            assert reader.get_latest_spec_version(sub="u", name="a") == str(number - 1)
            publish(writer, str(number))
            assert reader.get_latest_spec_version(sub="u", name="a") == str(number)
        assert figures(reader)[0]


def test_a_client_finds_the_broker_that_grants(store: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    with ExitStack() as stack:
        first = stack.enter_context(run_broker(store_at(store)))
        second = stack.enter_context(run_broker(store_at(store)))
        wait_until_cached(opened_sync(stack, first.config))
        # The second broker may not grant, because the first one does.
        for _ in range(4):
            wait_until_cached(opened_sync(stack, second.config))
        assert first.server.figures()["caching_clients"] == 5


def test_a_client_uses_no_other_broker_at_the_address_of_the_one_that_grants(
    store: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    with ExitStack() as stack:
        first = stack.enter_context(run_broker(store_at(store)))
        second = stack.enter_context(run_broker(store_at(store)))
        other = stack.enter_context(run_broker(memory_store()))
        publish(opened_sync(stack, other.config), "other")
        wait_until_cached(opened_sync(stack, first.config))
        monkeypatch.setattr(BrokerConfig, "reachable", lambda *_: other.config.addresses[0])
        requests = other.server.requests
        database = opened_sync(stack, second.config)
        publish(database, "1")
        wait_until(lambda: versions(database) == ["1"] and other.server.requests >= requests + 10)
        assert figures(database)[1] == 0


def test_a_client_that_reaches_no_broker_that_grants_reads_without_a_cache(
    store: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("open_alchemy.package_database.engines.broker.read_cache._SEARCH_SECONDS", 0.01)
    with ExitStack() as stack:
        first = stack.enter_context(run_broker(store_at(store)))
        second = stack.enter_context(run_broker(store_at(store)))
        wait_until_cached(opened_sync(stack, first.config))
        asked: list[str] = []
        monkeypatch.setattr(BrokerConfig, "reachable", lambda _, address: asked.append(address))
        database = opened_sync(stack, second.config)
        publish(database, "1")
        wait_until(lambda: versions(database) == ["1"] and len(asked) >= 3)
        assert figures(database)[1] == 0


@both
def test_a_client_caches_again_after_its_broker_stopped(opened: Opened, store: Config) -> None:
    with ExitStack() as stack:
        second = stack.enter_context(run_broker(store_at(store)))
        with run_broker(store_at(store)) as first:
            database = opened(stack, BrokerConfig((*first.config.addresses, *second.config.addresses)))
            publish(database, "1")
            wait_until_cached(database)
        publish(database, "2")
        assert versions(database) == ["1", "2"]
        read_until(lambda: figures(database)[0], lambda: versions(database))


def test_a_client_without_a_lease_uses_the_next_broker() -> None:
    """With a clock of the test, and without a connection."""
    now = 0.0
    sessions: list[int] = []
    requests = Requests(2, 0, "")

    async def find() -> FoundGranter:
        sessions.append(requests.current)
        return FoundGranter(requests.current, None)

    async def main() -> None:
        def broker_at(time: float) -> int:
            nonlocal now
            now = time
            cast("asyncio.TimerHandle", cache._timer).cancel()
            cache._tick()
            return requests.current

        cache = ReadCache(CacheOptions(), requests, lambda *_: None, find, now=lambda: Instant(now, now))
        cache.begin(Query(SPECS, "u"), 0, is_tracked=False)
        await cast("asyncio.Future[None]", cache._search)
        assert broker_at(1.0) == 0
        cache.receive(cache_messages.Lease("", 0, 0, 0.0))
        assert broker_at(2.5) == 0
        assert broker_at(2.6) == 1
        await cast("asyncio.Future[None]", cache._search)
        cache.close()

    asyncio.run(main())
    assert sessions == [0, 1]


def test_a_client_that_was_closed_delays_no_write(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    with run_broker(memory_store()) as patient, ExitStack() as stack:
        writer = opened_sync(stack, patient.config)
        publish(writer, "1")
        with open_database(CachingEngine(patient.config._replace(cache=CacheOptions()))) as reader:
            wait_until_cached(reader)
            assert versions(reader) == ["1"]
        publish(writer, "2")
        assert versions(writer) == ["1", "2"]


CREDENTIALS: Any = {"sub": "u", "id_": "c", "public_key": "p", "secret_key_hash": HASH, "salt": SALT}


def cached_tables(database: TDatabase) -> set[str]:
    """Returns the tables with cached results."""
    return {table_of(read) for read in cached_reads(database)}


def cached_reads(database: TDatabase) -> list[CachedRead]:
    cache = cache_of(database)
    return [] if cache is None else list(cache._cache._entries._reads.values())


def table_of(read: CachedRead) -> str:
    key: Any = read.key
    return str(key[0])


@pytest.mark.parametrize("tables", [None, frozenset({"package.specs"})])
def test_credentials_are_not_cached_with_the_option_specs(broker: RunningBroker, tables: frozenset[str] | None) -> None:
    expected = {"package.specs", "package.credentials"} if tables is None else {"package.specs"}
    with ExitStack() as stack:
        database = opened_sync(stack, broker.config, CacheOptions(tables=tables))
        database.create_update_credentials(**CREDENTIALS)
        publish(database, "1")

        def read() -> set[str]:
            read_credentials(database)
            assert database.get_spec(sub="u", name="a") is not None
            return cached_tables(database)

        wait_until(lambda: read() == expected)
        read_credentials(database)
        assert cached_tables(database) == expected


def test_no_repr_shows_a_cached_secret(broker: RunningBroker) -> None:
    with ExitStack() as stack:
        database = cast("Database", opened_sync(stack, broker.config))
        database.create_update_credentials(**CREDENTIALS)
        read_until(lambda: len(cached_credentials(database)) == 2, lambda: read_credentials(database))
        cache = cast("ReadCache", cache_of(database))
        kept = [(read.value, getattr(read.value, "items", None)) for read in cached_credentials(database)]
        state = vars(cache)
        assert find(repr((database, database.engine, cache, state, vars(state["_cache"]), kept))) == []


def cached_credentials(database: TDatabase) -> list[CachedRead]:
    return [read for read in cached_reads(database) if table_of(read) == "package.credentials"]


def read_credentials(database: TDatabase) -> None:
    database.get_credentials(sub="u", id_="c")
    database.list_credentials(sub="u")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_has_a_cache_of_its_own(broker: RunningBroker) -> None:
    with ExitStack() as stack:
        database = opened_sync(stack, broker.config)
        publish(database, "1")
        wait_until_cached(database)
        assert versions(database) == ["1"]
        child = os.fork()
        if child == 0:
            cache = cache_of(database)
            found = versions(database)
            os._exit(len(found) if cache is None and cache_of(database) is not None else 99)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 1
        publish(database, "2")
        assert versions(database) == ["1", "2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_computes_cached_functions_again(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child receives no revocation. Its copy of a cache may be locked by a thread of the parent."""
    be_patient(monkeypatch)
    # The broker does not wait for the lease of the child.
    monkeypatch.setattr(coherence_driver, "_LEAVE_SECONDS", 0.0)
    with run_broker(memory_store()) as patient, ExitStack() as stack:
        database = opened_sync(stack, patient.config)
        publish(database, "1")
        wait_until_cached(database)
        latest = cached()(lambda: database.get_latest_spec_version(sub="u", name="a"))
        read_until(lambda: latest.cache_info().hits, latest)
        misses = latest.cache_info().misses
        with cast("ReadCache", cache_of(database))._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                latest()
                os._exit(latest.cache_info().misses - misses)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1


def test_a_cached_function_is_computed_again_after_a_write(broker: RunningBroker) -> None:
    with ExitStack() as stack:
        database, writer = opened_sync(stack, broker.config), opened_sync(stack, broker.config)
        publish(writer, "1")
        wait_until_cached(database)

        @cached(max_entries=10)
        def latest(name: str) -> str:
            return database.get_latest_spec_version(sub="u", name=name)

        read_until(lambda: latest.cache_info().hits, lambda: latest("a"))
        publish(writer, "2")
        assert latest("a") == "2"


def test_a_cached_coroutine_function_is_computed_again_after_a_write(broker: RunningBroker) -> None:
    async def main() -> None:
        async with open_async_database(AsyncBrokerEngine(broker.config._replace(cache=CacheOptions()))) as opened:
            database = cast("AsyncTDatabase", opened)

            @cached(max_entries=10)
            async def latest(name: str) -> str:
                return await database.get_latest_spec_version(sub="u", name=name)

            await database.create_update_spec(sub="u", name="a", version="1", model_count=1)
            async with asyncio.timeout(60):
                while not latest.cache_info().hits:
                    assert await latest("a") == "1"
                    await asyncio.sleep(0.01)
            await database.create_update_spec(sub="u", name="a", version="2", model_count=1)
            assert await latest("a") == "2"

    asyncio.run(main())


def test_a_broker_without_sessions_does_not_join_the_registry(broker: RunningBroker) -> None:
    with ExitStack() as stack:
        plain = stack.enter_context(open_database(broker.config.open_engine(())))
        publish(plain, "1")
        engine: Any = broker.server.stores[""].engine
        stored = asyncio.run_coroutine_threadsafe(read_registry(engine), broker.loop).result()
        assert stored == {}


async def read_registry(engine: Any) -> Any:
    from open_alchemy.package_database.core.deadline import Deadline

    return broker_registry.to_registry(await engine.execute(broker_registry.READ, Deadline(5)))
