"""Lost, doubled and late messages, on each transport, with each API and store (docs/faults.md)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import pytest

from open_alchemy.package_database import NotFoundError, TDatabase
from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.engines.async_adapter import ThreadedEngine
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory
from open_alchemy.package_database.model.schema import TABLES
from tests.apis import config_of, connect_to
from tests.broker.brokers import Opened, RunningBroker, opened_async, opened_sync, store_at, store_of
from tests.broker.deliveries import FAULTS, FaultyServer, OneFault
from tests.broker.hostile import wait_until
from tests.broker.networks import Network, shorten
from tests.faults.backend import CREDENTIALS_COUNT, Backend
from tests.faults.calls import CALLS, READ_BEFORE_WRITING, State
from tests.faults.faults import Network as HTTPNetwork
from tests.faults.sockets import serve_network
from tests.pairwise import pairwise
from tests.postgresql.databases import clear_tables, create_database, create_tables

REQUESTS = [(call, False) for call in CALLS] + [(call, True) for call in READ_BEFORE_WRITING]
"""Each call, and whether its first write meets the fault instead of its first request."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs each pair of parameters; with ``--long``, every combination."""
    if "fault" in metafunc.fixturenames:
        is_long = metafunc.config.getoption("--long")
        names = ["opened", "network", "stored", "fault", "request_"]
        metafunc.parametrize(names, all_rows() if is_long else some_rows(), indirect=["network", "stored"])


def all_rows() -> list[Any]:
    stores = ("sqlite", "dynamodb", "postgresql")
    return list(product((opened_sync, opened_async), ("zeromq", "nats", "amqp"), stores, FAULTS, REQUESTS))


def some_rows() -> list[Any]:
    calls = [("create_update_spec", False), ("delete_spec", True), ("get_user", False)]
    return pairwise(product((opened_sync, opened_async), ("zeromq", "nats"), ("sqlite", "dynamodb"), FAULTS, calls))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, silence=0.1)


@pytest.fixture(scope="session")
def _backend() -> Backend:
    return Backend()


@pytest.fixture(scope="session")
def _postgresql(postgresql_servers: tuple[str, str]) -> Config:
    return create_tables(create_database(postgresql_servers[0]), shards=4)


@contextmanager
def _on_sqlite(_: pytest.FixtureRequest) -> Iterator[tuple[Any, TDatabase]]:
    engine = open_memory(SQLiteConfig(), TABLES)
    database = open_database(engine)
    _fill(database)
    yield store_of(engine, ThreadedEngine(engine)), database


@contextmanager
def _on_dynamodb(request: pytest.FixtureRequest) -> Iterator[tuple[Any, TDatabase]]:
    backend = request.getfixturevalue("_backend")
    backend.restore()
    with serve_network(HTTPNetwork(backend)) as server:
        config = config_of(server.url)
        with connect_to(config) as database:
            yield store_at(config), database


@contextmanager
def _on_postgresql(request: pytest.FixtureRequest) -> Iterator[tuple[Any, TDatabase]]:
    config = request.getfixturevalue("_postgresql")
    clear_tables(config)
    with connect_to(config) as database:
        _fill(database)
        yield store_at(config), database


def _fill(database: TDatabase) -> None:
    database.create_update_spec(sub="u1", name="a", version="1.0", model_count=1)
    for number in range(CREDENTIALS_COUNT):
        database.create_update_credentials(
            sub="u1", id_=str(number), public_key=f"pk {number}", secret_key_hash=b"", salt=b""
        )


@pytest.fixture
def stored(request: pytest.FixtureRequest) -> Iterator[tuple[Any, TDatabase]]:
    """A store with the items of ``calls.UNTOUCHED`` for a broker, and as a database without a broker."""
    opened: Callable[..., Any] = {"sqlite": _on_sqlite, "dynamodb": _on_dynamodb, "postgresql": _on_postgresql}[
        request.param
    ]
    with opened(request) as found:
        yield found


def state(database: TDatabase) -> State:
    try:
        versions = [info["version"] for info in database.list_spec_versions(sub="u1", name="a")]
    except NotFoundError:
        versions = []
    latest = database.get_spec(sub="u1", name="a")
    assert versions[-1:] == ([] if latest is None else [latest["version"]])
    return versions, len(database.list_credentials(sub="u1"))


def finish(broker: RunningBroker, deliveries: OneFault) -> None:
    """Delivers what is late, and waits until the broker has executed it."""

    async def deliver() -> None:
        deliveries.deliver_late()

    asyncio.run_coroutine_threadsafe(deliver(), broker.loop).result(60)
    wait_until(lambda: broker.server.figures()["in_progress"] == 0)


def test_a_fault_of_a_message_changes_neither_result_nor_effect(
    opened: Opened, network: Network, stored: tuple[Any, TDatabase], fault: str, request_: tuple[str, bool]
) -> None:
    store, direct = stored
    call, writes_only = CALLS[request_[0]], request_[1]
    deliveries = OneFault(FAULTS[fault], writes_only=writes_only)
    broker = network.start_broker(store, create=partial(FaultyServer, deliveries=deliveries))
    database = opened(network.stack, network.config(broker))
    assert call.perform(database) == call.result
    assert state(direct) == call.effect
    if call.later is not None:
        call.later(database)
    expected = state(direct)
    finish(broker, deliveries)
    assert state(direct) == expected


@pytest.mark.parametrize(
    ("network", "stored"),
    [
        pytest.param(network, store, marks=[] if store == "dynamodb" else [pytest.mark.long])
        for network, store in product(("zeromq", "nats"), ("sqlite", "dynamodb", "postgresql"))
    ],
    indirect=True,
)
def test_a_transaction_that_failed_on_its_conditions_is_not_executed_late(
    network: Network, stored: tuple[Any, TDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, direct = stored
    # The time of the next version is before this one: its first transaction fails.
    later = time.time() + 3600
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        direct.create_update_spec(sub="u1", name="a", version="later", model_count=1)
    deliveries = OneFault(FAULTS["a request arrives after its repetition and a later write"], writes_only=True)
    broker = network.start_broker(store, create=partial(FaultyServer, deliveries=deliveries))
    database = opened_sync(network.stack, network.config(broker))
    database.create_update_spec(sub="u1", name="a", version="new", model_count=1)
    assert state(direct)[0][-2:] == ["later", "new"]
    direct.delete_spec(sub="u1", name="a")
    finish(broker, deliveries)
    assert state(direct)[0] == []
