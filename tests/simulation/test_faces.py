"""Calls through the awaiting face reach the same states as the access patterns that are explored in its stead.

A coroutine is driven as a generator is: it yields each operation and is sent the result. The blocking face runs the
same generator as the awaiting one; they differ in a loop of a few lines (``driver``).
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from itertools import combinations_with_replacement
from typing import Any

import pytest

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation
from open_alchemy.package_database.database import open_async_database
from open_alchemy.package_database.model.access_pattern import AccessPattern
from open_alchemy.package_database.testing.memory import MemoryConfig
from tests.simulation import scheduler
from tests.simulation.history import explains
from tests.simulation.invariants import check_specs
from tests.simulation.scheduler import Plan, by_the_pattern, explore
from tests.simulation.sqlite_store import SQLiteStore
from tests.simulation.test_interleavings import CALLS, bystanders, names, old, stored


class Question:
    """Asks whoever drives the coroutine."""

    def __init__(self, operation: StoreOperation) -> None:
        self._operation = operation

    def __await__(self) -> Generator[StoreOperation, Any, Any]:
        return (yield self._operation)


class AskingEngine:
    """Has each operation carried out by whoever drives the coroutine."""

    config = MemoryConfig(deadline=1e9)
    attempt_seconds = 0.0

    async def prepare(self) -> None:
        """Nothing to load."""

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        del deadline
        return await Question(operation)

    async def aclose(self) -> None:
        """Nothing to close."""


def by_the_awaiting_face(pattern: AccessPattern[..., Any], arguments: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    return getattr(open_async_database(AskingEngine()), pattern.name)(**arguments)  # type: ignore[no-any-return]


class Revision:
    """Stands for random bytes."""

    def hex(self) -> str:
        return self._text

    def __init__(self, text: str) -> None:
        self._text = text


@pytest.fixture
def by_the_clock_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The facade gets its time and its revisions from the call that is at work, and waits for nothing."""
    stamps: list[Any] = []

    def now() -> int:
        stamps.append(scheduler.at_work.stamp())
        return int(stamps[-1].seconds)

    async def no_sleep(_: float) -> None:
        """Others take their steps whenever the schedule says so."""

    monkeypatch.setattr("open_alchemy.package_database.database.time.time", now)
    monkeypatch.setattr("open_alchemy.package_database.database.os.urandom", lambda _: Revision(stamps.pop().revision))
    monkeypatch.setattr("asyncio.sleep", no_sleep)


@pytest.mark.parametrize(
    "plans",
    list(combinations_with_replacement(CALLS, 2)),
    ids=lambda plans: " and ".join(f"{plan.kind} {plan.version}".strip() for plan in plans),
)
def test_the_awaiting_face_reaches_the_same_states(by_the_clock_of_the_call: None, plans: tuple[Plan, Plan]) -> None:
    expected = {run.state() for run in explore(stored(1), plans, faults=1)}

    assert {run.state() for run in explore(stored(1), plans, faults=1, begin=by_the_awaiting_face)} == expected


@pytest.mark.parametrize("begin", [by_the_pattern, by_the_awaiting_face])
@pytest.mark.parametrize(
    "plans",
    list(combinations_with_replacement(CALLS, 2)),
    ids=lambda plans: " and ".join(f"{plan.kind} {plan.version}".strip() for plan in plans),
)
def test_the_invariants_hold_on_sqlite(
    by_the_clock_of_the_call: None, plans: tuple[Plan, Plan], begin: scheduler.Begin
) -> None:
    start = SQLiteStore(stored(1).items)
    unchanged = bystanders(start)
    over = 0
    for run in explore(start, plans, faults=1, begin=begin):
        check_specs(run.store)
        assert bystanders(run.store) == unchanged
        assert not run.is_over or explains(old(1), run.calls, names(run)), "no order explains the answers"
        over += run.is_over

    assert over
