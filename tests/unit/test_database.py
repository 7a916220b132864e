"""A database runs access patterns to their end, within one deadline."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from open_alchemy.package_database import ConflictError, TDatabase, UnavailableError
from open_alchemy.package_database.core.backoff import full_jitter
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Get, Item, Put, Query, StoreOperation, Transact
from open_alchemy.package_database.core.runner import Sources
from open_alchemy.package_database.database import SYSTEM, Database, open_database
from open_alchemy.package_database.model.keys import latest_key
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import MemoryEngine


class Clock:
    """A monotonic clock that advances only by ``sleep`` or by a test."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def sources(self) -> Sources:
        return SYSTEM._replace(monotonic=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Rival(MemoryEngine):
    """An engine on which another client writes before each transaction.

    Args:
        clock: Its every operation takes a hundredth of a second.
        wins: How many races the other writer wins.
    """

    def __init__(self, clock: Clock, wins: int, *, deadline: float = 5.0) -> None:
        super().__init__(deadline=deadline)
        self.clock = clock
        self.wins = wins
        self.operations: list[StoreOperation] = []

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self.clock.now += 0.01
        self.operations.append(operation)
        if isinstance(operation, Transact) and self.wins:
            self.wins -= 1
            self.write_first(deadline)
        result = super().execute(operation, deadline)
        if isinstance(operation, Query):
            deadline.progress()
        return result

    def write_first(self, deadline: Deadline) -> None:
        seconds = 2_000_000_000 + len(self.operations)
        record: Item = {
            "sub": "u1",
            "id": "a",
            "version": f"of the rival {seconds}",
            "updated_at": str(seconds),
            "revision": str(seconds),
            "id_updated_at": "a#latest",
            **latest_key("u1", "a"),
        }
        super().execute(Transact((Put(SPECS, record),)), deadline)


def create(database: Database) -> None:
    database.create_update_spec(sub="u1", name="a", version="1", model_count=1)


def delete(database: Database) -> None:
    database.delete_spec(sub="u1", name="a")


def test_a_conflict_is_retried(clock: Clock) -> None:
    engine = Rival(clock, wins=20, deadline=60)
    database = open_database(engine, clock.sources)

    create(database)

    assert database.get_latest_spec_version(sub="u1", name="a") == "1"
    assert [type(operation) for operation in engine.operations].count(Transact) == 21


@pytest.mark.parametrize("call", [create, delete])
def test_a_conflict_until_the_deadline_is_a_conflict_error(clock: Clock, call: Callable[[Database], None]) -> None:
    engine = Rival(clock, wins=10_000)
    engine.write_first(Deadline(5))
    database = open_database(engine, clock.sources)
    start = clock.now

    with pytest.raises(ConflictError, match="_spec lost against other writers for [45]"):
        call(database)

    assert 4 < clock.now - start <= 5.5


def test_a_retry_has_a_later_time_than_the_winner_and_a_new_revision(
    clock: Clock,
) -> None:
    engine = Rival(clock, wins=1)
    seconds = iter([100.5, 107.5])

    create(open_database(engine, clock.sources._replace(seconds=lambda: next(seconds))))

    puts = [
        action.item
        for operation in engine.operations
        if isinstance(operation, Transact)
        for action in operation.actions
        if isinstance(action, Put)
    ]
    assert [item["updated_at"] for item in puts] == ["100", "100", "2000000002", "2000000002"]
    assert len({item["revision"] for item in puts}) == 2
    assert list(seconds) == []


class SlowEngine(MemoryEngine):
    """Records the deadline of each operation."""

    def __init__(self) -> None:
        super().__init__(deadline=7)
        self.deadlines: list[Deadline] = []

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self.deadlines.append(deadline)
        if isinstance(operation, Get):
            raise UnavailableError("no answer")
        return super().execute(operation, deadline)


def test_one_deadline_bounds_a_whole_call(clock: Clock) -> None:
    engine = SlowEngine()
    database = open_database(engine, clock.sources)

    with pytest.raises(UnavailableError):
        database.get_spec(sub="u1", name="a")
    create(database)

    assert [deadline.seconds for deadline in engine.deadlines] == [7, 7]
    assert engine.deadlines[0] is not engine.deadlines[1]


def test_each_operation_restarts_a_renewable_deadline() -> None:
    now = [0.0]
    deadline = Deadline(5, renewable=True, clock=lambda: now[0])
    now[0] = 4.0
    deadline.progress()
    now[0] = 8.0

    assert deadline.remaining() == 1.0
    assert deadline.elapsed() == 8.0


def test_a_deadline_that_is_not_renewable_bounds_the_whole_call() -> None:
    now = [0.0]
    deadline = Deadline(5, clock=lambda: now[0])
    now[0] = 4.0
    deadline.progress()
    deadline.commit()

    assert deadline.remaining() == 1.0


def test_reads_after_a_conflict_do_not_restart_the_deadline_of_the_write() -> None:
    now = [0.0]
    deadline = Deadline(5, renewable=True, clock=lambda: now[0])
    deadline.conflict(is_first=True)
    now[0] = 4.0
    deadline.progress()

    assert deadline.remaining() == 5.0
    assert deadline.allows(2.0)
    assert deadline.allows_retry(0.5)
    assert not deadline.allows_retry(1.0)
    assert deadline.longest_backoff() == pytest.approx(0.9)

    deadline.commit()
    assert deadline.allows_retry(4.0)
    assert not deadline.is_contended


def test_each_write_has_a_separate_deadline() -> None:
    now = [0.0]
    deadline = Deadline(5, renewable=True, clock=lambda: now[0])
    deadline.conflict(is_first=True)
    now[0] = 4.0
    deadline.progress()
    deadline.conflict()
    assert not deadline.allows_retry(1.0)

    deadline.conflict(is_first=True)
    assert deadline.allows_retry(1.0)


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.3, 0.7, 1.8])
def test_a_conflict_until_the_deadline_is_no_unavailable_error(clock: Clock, seconds: float) -> None:
    class LosingEngine(MemoryEngine):
        """Executes operations that take time, and whose transactions always conflict, with the real deadline."""

        attempt_seconds = 0.8

        def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
            if not deadline.allows():
                raise UnavailableError("not begun")
            clock.now += seconds
            return {1: {"updated_at": "100", "version": "of another"}} if isinstance(operation, Transact) else None

    for _ in range(50):
        start = clock.now
        with pytest.raises(ConflictError):
            create(open_database(LosingEngine(deadline=2), clock.sources))
        assert 1.6 - 2 * seconds <= clock.now - start <= 2.5


@pytest.mark.parametrize(
    ("now", "delay", "is_allowed"),
    [(0.0, 0.0, True), (3.5, 0.0, True), (3.6, 0.0, False), (3.0, 0.6, False), (5.0, 0.0, False)],
)
def test_a_request_may_end_at_most_half_a_second_late(now: float, delay: float, *, is_allowed: bool) -> None:
    clock = [0.0]
    deadline = Deadline(5, attempt=2.0, clock=lambda: clock[0])
    clock[0] = now

    assert deadline.allows(delay) is is_allowed


@pytest.mark.parametrize(
    ("now", "attempt", "spare"), [(0.0, 0.0, 4.9), (0.0, 2.0, 3.4), (3.0, 2.0, 0.4), (3.5, 2.0, 0.0), (6.0, 0.0, 0.0)]
)
def test_a_wait_must_leave_time_for_a_request(now: float, attempt: float, spare: float) -> None:
    clock = [0.0]
    deadline = Deadline(5, attempt=attempt, clock=lambda: clock[0])
    clock[0] = now

    assert deadline.longest_backoff() == pytest.approx(spare)
    assert spare == 0.0 or deadline.allows(spare)


def test_the_backoff_grows_to_its_bound_with_full_jitter() -> None:
    bounds = [full_jitter(0.1, attempt, 1.0, lambda: 1.0) for attempt in (0, 1, 2, 3, 4, 10_000)]

    assert bounds == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert full_jitter(0.1, 3, 1.0, lambda: 0.0) == 0.0


def test_the_functions_are_documented_as_the_interface_is() -> None:
    function = open_database(MemoryEngine()).get_spec

    assert function.__doc__ == TDatabase.get_spec.__doc__
    assert list(inspect.signature(function).parameters) == ["sub", "name"]
