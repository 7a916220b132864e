"""The async API reaches the same states as the access patterns alone, and so does SQLite in place of the model.

A coroutine is driven as a generator is: it yields each operation and receives the result. The sync API runs the same
generator as the async one; they differ in a loop of a few lines (``core.runner``).
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import combinations_with_replacement
from typing import Any, cast

import pytest

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation
from open_alchemy.package_database.core.runner import Sources
from open_alchemy.package_database.database import open_async_database
from open_alchemy.package_database.model.access_pattern import AccessPattern
from open_alchemy.package_database.testing.memory import MemoryConfig
from tests.simulation.engine_stores import SQLiteStore
from tests.simulation.history import explains
from tests.simulation.invariants import check_specs
from tests.simulation.scheduler import DELIVERIES, FAULTS, Begin, Plan, Running, by_the_pattern, explore
from tests.simulation.test_interleavings import CALLS, bystanders, names, old, stored

SOME = {(CALLS[0], CALLS[1]), *zip(CALLS[:3], CALLS[3:], strict=True), *((call, call) for call in CALLS[:4])}
"""Two creates, each call with a write, and writes with themselves."""
on_pairs = pytest.mark.parametrize(
    "plans",
    [
        pytest.param(plans, marks=() if plans in SOME else pytest.mark.long)
        for plans in combinations_with_replacement(CALLS, 2)
    ],
    ids=lambda plans: " and ".join(f"{plan.kind} {plan.version}".strip() for plan in plans),
)


class Request:
    """An awaitable that yields an operation to the driver of the coroutine."""

    def __init__(self, operation: StoreOperation) -> None:
        self._operation = operation

    def __await__(self) -> Generator[StoreOperation, Any, Any]:
        return (yield self._operation)


class YieldingEngine:
    """An engine whose operations the driver of the coroutine executes."""

    config = MemoryConfig(deadline=1e9)
    attempt_seconds = 0.0

    async def prepare(self) -> None:
        """Nothing to load."""

    def queue(self) -> None:
        """Calls never wait."""

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        del deadline
        return await Request(operation)

    async def aclose(self) -> None:
        """Nothing to close."""


def by_the_async_api(pattern: AccessPattern[..., Any], arguments: dict[str, Any], sources: Sources) -> Running:
    function = getattr(open_async_database(YieldingEngine(), sources), pattern.name)
    return cast("Running", function(**arguments))


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_sleep(_: float) -> None:
        """The schedule determines the order of the steps."""

    monkeypatch.setattr("asyncio.sleep", no_sleep)


@on_pairs
def test_the_async_api_reaches_the_same_states(plans: tuple[Plan, Plan]) -> None:
    kinds = (*FAULTS, *DELIVERIES)
    expected = {run.state() for run in explore(stored(1), plans, faults=1, kinds=kinds)}

    assert {run.state() for run in explore(stored(1), plans, faults=1, kinds=kinds, begin=by_the_async_api)} == expected


@pytest.mark.parametrize("begin", [by_the_async_api, pytest.param(by_the_pattern, marks=pytest.mark.long)])
@on_pairs
def test_the_invariants_hold_on_sqlite(plans: tuple[Plan, Plan], begin: Begin) -> None:
    start = SQLiteStore(stored(1).items)
    unchanged = bystanders(start)
    over = 0
    for run in explore(start, plans, faults=1, begin=begin):
        check_specs(run.store)
        assert bystanders(run.store) == unchanged
        assert not run.is_over or explains(old(1), run.calls, names(run)), "no order explains the answers"
        over += run.is_over

    assert over
