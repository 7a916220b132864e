"""The broker's command: workers, figures, instances and its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from open_alchemy.package_database import (
    Change,
    ConfigurationError,
    Missed,
    RefusedError,
    UnavailableError,
    connect,
    iter_changes,
)
from open_alchemy.package_database.broker import main
from open_alchemy.package_database.broker.main import Options, cancel_once, run
from open_alchemy.package_database.broker.metrics import BUCKETS, Histogram, merge, to_prometheus
from open_alchemy.package_database.broker.shared_metrics import SharedFigures
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.engines.broker.config import BrokerConfig
from open_alchemy.package_database.model.schema import TABLES
from tests.broker.brokers import close_process_database, database_of_process
from tests.broker.hostile import wait_until
from tests.broker.processes import INSTANCES, BrokerProcess, free_port

pytestmark = pytest.mark.usefixtures("measured_programs_of_module")


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def workers(
    measured_programs_of_module: None, tmp_path_factory: pytest.TempPathFactory, metrics_port: int
) -> Iterator[BrokerProcess]:
    path = tmp_path_factory.mktemp("workers") / "specs.db"
    arguments = ("--workers", "2", "--metrics", f"127.0.0.1:{metrics_port}", "--url", f"sqlite:///{path}")
    with BrokerProcess(*arguments) as broker:
        yield broker


def read(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_workers_share_one_port(workers: BrokerProcess) -> None:
    for number in range(8):
        with connect(workers.url) as database:
            database.create_update_spec(sub="u", name=f"a{number}", version="1", model_count=1)
            assert database.count_customer_models(sub="u") == number + 1


def wait_for_both(metrics_port: int) -> None:
    """Waits until both workers have started: a broker of which one never did stops."""
    wait_until(lambda: "package_database_broker_workers 2\n" in read(metrics_port, "/metrics")[1])


def test_figures_are_the_sums_over_the_workers(workers: BrokerProcess, metrics_port: int) -> None:
    wait_for_both(metrics_port)
    status, text = read(metrics_port, "/metrics")
    assert status == 200
    assert "# TYPE package_database_broker_requests_total counter\n" in text
    assert 'package_database_broker_latency_seconds_bucket{le="+Inf"} ' in text
    assert read(metrics_port, "/ready") == (200, "ready\n")
    assert read(metrics_port, "/other")[0] == 404


def test_the_command_status_prints_the_figures(workers: BrokerProcess) -> None:
    finished = CliRunner().invoke(commands, ["broker", "status", "--url", workers.url, "--json"])
    assert finished.exit_code == 0, finished.output
    figures = json.loads(finished.output)
    assert figures["requests"] >= 1
    assert {"queued", "shed", "latency_count"} <= figures.keys()


def test_a_subscriber_gets_the_changes_of_all_workers(workers: BrokerProcess, metrics_port: int) -> None:
    wait_for_both(metrics_port)
    names = {f"b{number}" for number in range(8)}
    with database_of_process(BrokerConfig((workers.url.replace("broker://", "tcp://"),))):
        events = iter_changes(sub="subscriber")
        assert isinstance(next(events), Missed)
        for name in names:
            with connect(workers.url) as database:
                database.create_update_spec(sub="subscriber", name=name, version="1", model_count=1)
        missing = {f"latest#{name}" for name in names}
        while missing:
            event = next(events)
            missing -= {event.key["updated_at_id"]} if isinstance(event, Change) else set()
        events.close()
        close_process_database()


def test_status_needs_a_broker() -> None:
    finished = CliRunner().invoke(commands, ["broker", "status", "--url", "sqlite://"])
    assert (finished.exit_code, "broker://HOST:PORT" in finished.output) == (2, True)


def test_a_worker_that_dies_is_replaced(workers: BrokerProcess, metrics_port: int) -> None:
    wait_for_both(metrics_port)
    before = workers.children()
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(workers.children()) == 2 and before[0] not in workers.children())
    with connect(workers.url) as database:
        assert database.list_specs(sub="nobody") == []


def test_a_broker_serves_the_instances_that_requests_name(tmp_path: Path) -> None:
    file = tmp_path / "instances.toml"
    file.write_text(INSTANCES.format(folder=tmp_path), encoding="utf-8")
    with BrokerProcess(environment={"PACKAGE_DATABASE_INSTANCES": str(file)}) as broker:
        with connect(f"{broker.url}/b") as database:
            database.create_update_spec(sub="u", name="x", version="1", model_count=7)
            assert database.count_customer_models(sub="u") == 7
        for name in ("", "/a"):
            with connect(broker.url + name) as database:
                assert database.count_customer_models(sub="u") == 0
        with connect(f"{broker.url}/c") as database, pytest.raises(RefusedError, match="no such instance"):
            database.list_specs(sub="u")


def test_a_broker_of_one_store_has_no_other_instance(workers: BrokerProcess) -> None:
    with connect(f"{workers.url}/a") as database, pytest.raises(RefusedError, match="no such instance"):
        database.list_specs(sub="u")


def test_workers_of_a_database_in_memory_are_refused() -> None:
    finished = CliRunner().invoke(commands, ["broker", "--workers", "2", "--url", "sqlite://"])
    assert (finished.exit_code, "in memory" in finished.output) == (2, True)


def test_a_worker_that_cannot_start_ends_the_broker(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "specs.db"
    with BrokerProcess("--workers", "2", "--url", f"sqlite:///{path}") as broker:
        errors = broker.wait()
    assert broker.process.returncode == 2
    assert "a worker of the broker could not start" in errors


def test_a_metrics_address_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "_check_stores", lambda _: None)
    for address in ("localhost", "127.0.0.1:x"):
        with pytest.raises(ConfigurationError, match="HOST:PORT"):
            run(TABLES, Options(["tcp://127.0.0.1:*"], metrics=address), lambda _: None)


def test_a_second_signal_does_not_interrupt_the_end_of_requests() -> None:
    ended: list[bool] = []

    async def serve() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def stop_twice() -> None:
        task = asyncio.ensure_future(serve())
        await asyncio.sleep(0)
        for _ in range(2):
            cancel_once(task)
            await asyncio.sleep(0)
        await asyncio.wait([task])

    asyncio.run(stop_twice())
    assert ended == [True]


@pytest.mark.parametrize("workers_count", ["1", "2"])
def test_sigterm_loses_no_write(workers_count: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The writers wait this long for a broker that has ended.
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", "0.5")
    has_ended = threading.Event()
    written: list[str] = []
    failed: list[str] = []
    url = f"sqlite:///{tmp_path / 'specs.db'}"

    def write(broker_url: str, name: str) -> None:
        with connect(broker_url) as database:
            for number in count():
                if has_ended.is_set():
                    return
                try:
                    database.create_update_spec(sub="u", name=name, version=str(number), model_count=1)
                except UnavailableError:
                    failed.append(f"{name} {number}")
                else:
                    written.append(f"{name} {number}")

    with BrokerProcess("--workers", workers_count, "--url", url) as broker:
        threads = [threading.Thread(target=write, args=(broker.url, name)) for name in "ab"]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(written) > 20)
            broker.terminate()
            errors = broker.wait()
        finally:
            has_ended.set()
            for thread in threads:
                thread.join()
    assert (broker.process.returncode, errors) == (0, "")
    with connect(url) as database:
        stored = {
            f"{name} {found['version']}" for name in "ab" for found in database.list_spec_versions(sub="u", name=name)
        }
    assert stored >= set(written), "an acknowledged write was lost"
    assert stored <= {*written, *failed}


def test_a_histogram_is_cumulative() -> None:
    histogram = Histogram()
    for seconds in (0.0001, 0.001, 0.3, 60.0):
        histogram.add(seconds)
    figures = histogram.figures()
    assert [figures[f"latency_le_{limit}"] for limit in (0.001, 0.25, 0.5, BUCKETS[-1])] == [2, 2, 3, 3]
    assert figures["latency_count"] == 4
    assert figures["latency_sum"] == pytest.approx(60.3011)
    assert to_prometheus(figures).count("_bucket{") == len(BUCKETS) + 1


def test_the_uptime_of_workers_is_the_longest() -> None:
    assert merge([{"uptime_seconds": 5, "requests": 1}, {"uptime_seconds": 3, "requests": 2}]) == {
        "uptime_seconds": 5,
        "requests": 3,
    }


def test_figures_that_are_half_written_are_omitted() -> None:
    shared = SharedFigures(2)
    shared.write(0, {"requests": 1})
    shared.write(1, {"requests": 2})
    assert shared.total() == {"requests": 3}
    shared._memory[4] ^= 0xFF
    assert shared.total() == {"requests": 2}
    assert not SharedFigures(1).is_written(0)
