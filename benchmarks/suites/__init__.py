"""The suites of measurements. Another is a module with a ``SUITE``, and its name here."""

from __future__ import annotations

from . import calls, cold, growth, savings, sqlite, stages, throughput

SUITES = (calls.SUITE, throughput.SUITE, cold.SUITE, growth.SUITE, savings.SUITE, stages.SUITE, sqlite.SUITE)
