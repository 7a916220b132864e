"""The fixtures that run a test suite in this process."""

from tests.plugin.conftest import drivers, run_alone, service

__all__ = ["drivers", "run_alone", "service"]
