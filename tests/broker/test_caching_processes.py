"""Clients with caches of brokers as they are started: several workers, keys, and instances that are opened late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from open_alchemy.package_database import TDatabase, connect
from open_alchemy.package_database.broker import main
from open_alchemy.package_database.broker.key_files import NewClient, create_keys
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.coherence.membership import Registry
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model import broker_registry
from open_alchemy.package_database.model.schema import TABLES
from tests.broker import quick
from tests.broker.brokers import wait_until_cached
from tests.broker.hostile import wait_until
from tests.broker.processes import INSTANCES, BrokerProcess

start_broker = partial(BrokerProcess, module=quick.__name__)


def publish(database: TDatabase, count: int) -> None:
    database.create_update_spec(sub="u", name="a", version="1", model_count=count)


def check_no_read_is_stale(databases: Sequence[TDatabase]) -> None:
    for count in range(1, 6):
        publish(databases[count % len(databases)], count)
        for database in databases:
            assert database.count_customer_models(sub="u") == count


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick.divide_durations(monkeypatch.setattr)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    create_keys(tmp_path / "keys", [NewClient("web", ("read", "write"))])
    return tmp_path / "keys"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def registry_of(url: str) -> Registry:
    """Returns the registry of a store."""
    engine = from_url(url, {}).open_engine(TABLES)
    engine.prepare()
    registry = broker_registry.to_registry(engine.execute(broker_registry.READ, Deadline(5)))
    engine.close()
    return registry


@pytest.mark.long
def test_clients_of_all_workers_cache_through_one(stack: ExitStack, keys: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'a.db'}"
    options = ("--workers", "2", "--keys", str(keys), "--url", store)
    url = stack.enter_context(start_broker(*options)).url + f"?cache=100&key={quote(str(keys / 'web.key'))}"
    # The system decides which worker accepts a connection.
    databases = [stack.enter_context(connect(url)) for _ in range(8)]
    for database in databases:
        wait_until_cached(database)
    check_no_read_is_stale(databases)
    assert len(registry_of(store)) == 1


@pytest.mark.usefixtures("measured_programs")
def test_each_worker_lets_clients_cache(stack: ExitStack, keys: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'a.db'}"
    options = ("--workers", "2", "--granters", "2", "--keys", str(keys), "--url", store)
    url = stack.enter_context(start_broker(*options)).url + f"?cache=100&key={quote(str(keys / 'web.key'))}"
    databases: list[TDatabase] = []
    for _ in range(64):  # The system decides which worker accepts a connection.
        databases.append(stack.enter_context(connect(url)))
        databases[-1].list_specs(sub="nobody")
        wait_until(lambda: len(registry_of(store)) > 0)
        if len(registry_of(store)) == 2:
            break
    for database in databases:
        wait_until_cached(database)
    registry = registry_of(store)
    check_no_read_is_stale(databases)
    # No worker was evicted: they reach each other.
    assert registry_of(store) == registry
    assert len(registry) == 2


def test_a_broker_invalidates_clients_of_another_with_its_keys(stack: ExitStack, keys: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'a.db'}"
    options = ("--granters", "1", "--keys", str(keys), "--url", store)
    brokers = [stack.enter_context(start_broker(*options)) for _ in range(2)]
    key = quote(str(keys / "web.key"))
    cached = stack.enter_context(connect(f"{brokers[0].url}?cache=100&key={key}"))
    wait_until_cached(cached)
    registry = registry_of(store)
    writer = stack.enter_context(connect(f"{brokers[1].url}?key={key}"))
    check_no_read_is_stale([cached, writer])
    # It was not evicted.
    assert registry_of(store) == registry


def test_clients_of_an_instance_under_both_of_its_names_cache(stack: ExitStack, tmp_path: Path) -> None:
    file = tmp_path / "instances.toml"
    file.write_text(INSTANCES.format(folder=tmp_path), encoding="utf-8")
    broker = stack.enter_context(start_broker(environment={"PACKAGE_DATABASE_INSTANCES": str(file)}))
    databases = [stack.enter_context(connect(f"{broker.url}{name}?cache=100")) for name in ("", "/a", "/b")]
    for database in databases:
        wait_until_cached(database)
    check_no_read_is_stale(databases[:2])
    assert databases[2].count_customer_models(sub="u") == 0


def test_workers_refuse_a_common_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the refusal, the workers would start.
    monkeypatch.delattr(main, "supervise")
    options = ("--workers", "2", "--advertise", "tcp://127.0.0.1:1", "--url", f"sqlite:///{tmp_path / 'a.db'}")
    finished = CliRunner().invoke(commands, ["broker", *options])
    assert finished.exit_code == 2
    assert "each of several --workers has an address of its own" in finished.output
