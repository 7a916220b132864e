"""Shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from open_alchemy.package_database import instances, pytest_plugin
from open_alchemy.package_database.engines import registry

pytest_plugins = ["pytester"]

# Loaded with --hypothesis-profile; the figure of the last long run is in docs/simulation.md.
_ORDINARY = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
settings.register_profile("ordinary", _ORDINARY, max_examples=400, stateful_step_count=50)
settings.register_profile("long", _ORDINARY, max_examples=4_000, stateful_step_count=50, derandomize=False)
settings.load_profile("ordinary")


@pytest.fixture
def not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which neither ``get()`` nor ``get_async()`` was called."""
    monkeypatch.setattr(instances, "_process", instances._Process(pytest_plugin._configuration))


@pytest.fixture
def fresh_process(not_opened: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outside of a test run: the environment is read on first use. ``STAGE`` is ``TEST``."""
    instances.set_default(lambda: registry.from_environment(os.environ))
    monkeypatch.setenv("STAGE", "TEST")


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which the AWS chain finds nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
