"""An import concurrent with any other call, with a fault at every step, keeps the invariants and loses nothing."""

from __future__ import annotations

from itertools import product

import pytest

from open_alchemy.package_database.admin.import_items import Outcome
from open_alchemy.package_database.testing.memory import MemoryStore
from tests.pairwise import selected
from tests.simulation.invariants import check_specs, versions_of
from tests.simulation.scheduler import SECOND, Plan, Run, execute, explore
from tests.simulation.test_interleavings import bystanders, stored

OLDER = Plan("import", "imported", (SECOND - 20, SECOND - 10))
AROUND = Plan("import", "imported", (SECOND - 10, SECOND + 10))
SAME_SECOND = Plan("import", "imported", (SECOND - 10, SECOND))
NEWER = Plan("import", "imported", (SECOND + 10, SECOND + 20))
IMPORTS = [OLDER, AROUND, SAME_SECOND, NEWER]
OTHERS = [
    Plan("create", "x"),
    Plan("create", "x", (SECOND - 10,)),
    Plan("create", "old 0"),
    Plan("delete"),
    Plan("import", "other", (SECOND - 15, SECOND + 15)),
]

plans = pytest.mark.parametrize("plan", IMPORTS, ids=["older", "around", "same second", "newer"])


def times_of(store: MemoryStore) -> dict[int, str]:
    return {int(record["updated_at"]): str(record["version"]) for record in versions_of(store, "u1", "a")}


def reached(start: MemoryStore, *calls: Plan, faults: int = 0) -> list[Run]:
    """Returns the runs that are over, after checking the invariants in every state that can be reached."""
    unchanged = bystanders(start)
    runs = []
    for run in explore(start, calls, faults=faults):
        check_specs(run.store)
        assert bystanders(run.store) == unchanged
        runs += [run] if run.is_over else []
    return runs


@plans
@pytest.mark.parametrize("versions", range(3))
def test_an_import_adds_what_is_not_there_and_leaves_what_is(versions: int, plan: Plan) -> None:
    store = stored(versions)
    before = times_of(store)

    outcomes = execute(store, plan)

    check_specs(store)
    assert times_of(store) == dict.fromkeys(plan.now, "imported") | before
    kept = [now in before for now in plan.now]
    assert outcomes[:-1] == [Outcome.KEPT if is_kept else Outcome.NEW for is_kept in kept]


@plans
@pytest.mark.parametrize("versions", range(3))
def test_an_import_again_changes_nothing(versions: int, plan: Plan) -> None:
    store = stored(versions)
    first = execute(store, plan)
    items, writes = dict(store.items), store.writes

    again = execute(store, plan)

    assert (store.items, store.writes) == (items, writes)
    assert again == [Outcome.SAME if outcome is Outcome.NEW else outcome for outcome in first]


@plans
@pytest.mark.parametrize("versions", range(3))
def test_an_import_that_fails_anywhere_is_completed_by_the_next(versions: int, plan: Plan) -> None:
    expected = dict.fromkeys(plan.now, "imported") | times_of(stored(versions))

    for run in reached(stored(versions), plan, faults=1):
        execute(run.store, plan)
        check_specs(run.store)
        assert times_of(run.store) == expected


@pytest.mark.parametrize(
    ("versions", "other", "plan", "with_revision"),
    selected(product(range(3), OTHERS, IMPORTS, [True, False])),
    ids=lambda value: f"{value.kind} {value.version}".strip() if isinstance(value, Plan) else str(value),
)
def test_an_import_beside_another_call_keeps_the_invariants(
    versions: int, other: Plan, plan: Plan, *, with_revision: bool
) -> None:
    runs = reached(stored(versions, with_revision=with_revision), plan, other, faults=1)

    assert any(run.is_over for run in runs)


@plans
@pytest.mark.parametrize("versions", range(3))
def test_a_create_and_an_import_lose_neither(versions: int, plan: Plan) -> None:
    over = [run for run in reached(stored(versions), plan, Plan("create", "x")) if run.is_over]

    for run in over:
        assert "x" in times_of(run.store).values()
        imported = [times_of(run.store)[now] for now in plan.now]
        assert imported.count("imported") + run.calls[0].answer.count(Outcome.KEPT) >= len(imported)


@pytest.mark.long
@pytest.mark.parametrize("time", [SECOND - 10, SECOND + 10])
def test_two_deletes_beside_an_import_leave_no_half_of_a_spec(time: int) -> None:
    plan = Plan("import", "imported", (time,))

    assert any(run.is_over for run in reached(stored(1), plan, Plan("delete"), Plan("delete")))
