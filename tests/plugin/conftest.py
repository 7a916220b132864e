"""The test suite of a service, which runs in this process: other plugins would take most of the time of a new one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import pytest

from open_alchemy.package_database import pytest_plugin
from open_alchemy.package_database.instances import api

Run: TypeAlias = Callable[..., pytest.RunResult]


@pytest.fixture(scope="session")
def drivers() -> None:
    """Imports the drivers. pytester removes the modules that a suite imports first, and drivers are imported once."""
    for name in ("engines.postgresql.engine", "engines.sqlite.engine", "sqlalchemy"):
        import_module(f"open_alchemy.package_database.{name}")


@pytest.fixture
def service(drivers: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The folder of a service, in an environment without stage and test runner, and with no other plugin than xdist."""
    for name in ("STAGE", "PACKAGE_DATABASE_URL", "AWS_ENDPOINT_URL_DYNAMODB", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        # Restores the variable if the service sets it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", f"{pytest_plugin.__name__},xdist.plugin")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


@pytest.fixture
def run_alone(service: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the suite in this process as in a new one: without the state of the plugin. Workers of xdist are new."""
    monkeypatch.setattr(api._process, "source", api._process.source)
    monkeypatch.setattr(api._process, "found", None)
    monkeypatch.setattr(pytest_plugin, "_stage", "")
    return partial(service.runpytest_inprocess, "-p", "no:cacheprovider")


@pytest.fixture
def run_process(service: pytest.Pytester) -> Run:
    """Runs the suite in a new process."""
    return service.runpytest_subprocess
