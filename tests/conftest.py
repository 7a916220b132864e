"""Shared by all tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from open_alchemy.package_database import pytest_plugin
from open_alchemy.package_database.instances import api, lookup
from tests.scheduling import Scheduling, priority
from tests.unmeasured import repeats, unmeasured

if TYPE_CHECKING:
    from tests.broker.bus_processes import NATSProcess, RabbitMQProcess

pytest_plugins = ["pytester"]

_PROFILE = settings(deadline=None, suppress_health_check=list(HealthCheck), stateful_step_count=30)
settings.register_profile("ordinary", _PROFILE, derandomize=True, max_examples=40)
settings.register_profile("long", _PROFILE, derandomize=False, max_examples=4_000, stateful_step_count=50)


_COVERAGE = pytest.StashKey[str | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run tests marked long, with more Hypothesis examples")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("numprocesses", None):
        # Only workers are measured: coverage would double the CPU time of the servers and programs that tests start.
        config.stash[_COVERAGE] = os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    settings.load_profile("long" if config.getoption("--long") else "ordinary")
    with suppress(ModuleNotFoundError):  # scripts/smoke installs few packages.
        import botocore.session

        # All boto3 clients share botocore's parsed service models: parsing takes 90 % of the time to make a client.
        botocore.session.create_loader = cache(botocore.session.create_loader)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Disable the garbage collector, and measure coverage in the first worker only: all import the same modules."""
    gc.disable()
    with unmeasured() if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0" else nullcontext():
        result = yield
    gc.freeze()
    gc.enable()
    return result


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests marked long without the option, and put slow ones first."""
    if not config.getoption("--long"):
        deselected = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    items.sort(key=lambda item: priority(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Let tests that share servers run in one worker."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Suspend the measurement of coverage in the process that only distributes the tests."""
    with unmeasured() if session.config.getoption("numprocesses", None) else nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Suspend the measurement of coverage in tests that cover nothing more."""
    with unmeasured() if repeats(item.nodeid) else nullcontext():
        return (yield)


@pytest.fixture
def measured_programs(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures the coverage of the programs that the test starts, unless they are killed."""
    _measure_programs(pytestconfig, monkeypatch)


@pytest.fixture(scope="module")
def measured_programs_of_module(pytestconfig: pytest.Config) -> Iterator[None]:
    """The same for all tests of a module, and for its fixtures."""
    with pytest.MonkeyPatch.context() as patch:
        _measure_programs(pytestconfig, patch)
        yield


def _measure_programs(config: pytest.Config, patch: pytest.MonkeyPatch) -> None:
    coverage = config.stash.get(_COVERAGE, None)
    if coverage is not None:
        patch.setenv("COVERAGE_PROCESS_CONFIG", coverage)


@pytest.fixture(scope="session")
def postgresql_servers() -> Iterator[tuple[str, str]]:
    """The URLs of two PostgreSQL servers."""
    from tests.postgresql.databases import run_servers

    with run_servers() as urls:
        yield urls


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NATSProcess]:
    """A NATS server."""
    from tests.broker.bus_processes import run_nats

    with run_nats() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQProcess]:
    """A RabbitMQ server. The parameters of tests with it contain ``amqp``, so that one worker starts one."""
    from tests.broker.bus_processes import run_rabbitmq

    with run_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which neither ``get()`` nor ``get_async()`` was called."""
    found = api._Process(lambda: lookup.SingleStore(pytest_plugin._configuration()))
    monkeypatch.setattr(api, "_process", found)


@pytest.fixture
def fresh_process(not_opened: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outside of a test run: the environment is read on first use. ``STAGE`` is ``TEST``."""
    api.set_directory(lambda: lookup.from_environment(os.environ))
    monkeypatch.setenv("STAGE", "TEST")


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which the AWS chain finds nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
