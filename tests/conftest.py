"""Shared by all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# Loaded with --hypothesis-profile; the figure of the last long run is in docs/simulation.md.
_ORDINARY = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
settings.register_profile("ordinary", _ORDINARY, max_examples=400, stateful_step_count=50)
settings.register_profile("long", _ORDINARY, max_examples=4_000, stateful_step_count=50, derandomize=False)
settings.load_profile("ordinary")
