"""Every interleaving of an update with another call: the update changes what it read, or nothing.

An update reads the spec and publishes the version that it read with a suffix: a lost update has no explanation.
"""

from __future__ import annotations

import pytest

from open_alchemy.package_database import ConflictError, NotFoundError
from tests.simulation.scheduler import DELIVERIES, SECOND, Plan, Run
from tests.simulation.test_interleavings import CALLS, ends, names

UPDATE = Plan("update", "+")
OTHERS = [*CALLS, Plan("update", "*")]


def was_refused(run: Run, number: int) -> bool:
    """Returns whether an update failed because the spec was published since it was read."""
    answer = run.calls[number].answer
    return isinstance(answer, ConflictError) and answer.newer is not None


@pytest.mark.parametrize("with_revision", [True, False])
@pytest.mark.parametrize("clocks", [(0, 0), (0, 1), (-100, 1), (1, -100)])
def test_of_two_updates_both_or_the_first_take_effect(clocks: tuple[int, int], *, with_revision: bool) -> None:
    over = ends(
        f"stored(1, with_revision={with_revision})",
        Plan("update", "+", (SECOND + clocks[0],)),
        Plan("update", "*", (SECOND + clocks[1],)),
    )

    seen = {(names(run)[1:], was_refused(run, 0), was_refused(run, 1)) for run in over}
    assert seen == {
        (("old 0+", "old 0+*"), False, False),
        (("old 0*", "old 0*+"), False, False),
        (("old 0+",), False, True),
        (("old 0*",), True, False),
    }


@pytest.mark.parametrize("with_revision", [True, False])
@pytest.mark.parametrize("clocks", [(0, 0), (0, 1), (-100, 1), (1, -100)])
def test_an_update_beside_a_create_follows_it_or_is_refused(clocks: tuple[int, int], *, with_revision: bool) -> None:
    over = ends(
        f"stored(1, with_revision={with_revision})",
        Plan("update", "+", (SECOND + clocks[0],)),
        Plan("create", "x", (SECOND + clocks[1],)),
    )

    seen = {(names(run)[1:], was_refused(run, 0)) for run in over}
    assert seen == {(("old 0+", "x"), False), (("x", "x+"), False), (("x",), True)}


@pytest.mark.parametrize("with_revision", [True, False])
def test_an_update_beside_a_create_of_the_same_version_in_its_second(*, with_revision: bool) -> None:
    over = ends(f"stored(1, with_revision={with_revision})", UPDATE, Plan("create", "old 0"))

    seen = {(names(run), was_refused(run, 0)) for run in over}
    assert seen == {
        (("old 0", "old 0+"), False),
        (("old 0",), True),
        (("old 0", "old 0+", "old 0"), False),
    }


@pytest.mark.parametrize("versions", range(1, 4))
def test_an_update_beside_a_delete_restores_nothing(versions: int) -> None:
    over = ends(f"stored({versions})", UPDATE, Plan("delete"))

    assert {names(run) for run in over} == {()}
    assert any(isinstance(run.calls[0].answer, NotFoundError) for run in over)


def test_an_update_beside_a_delete_and_a_create() -> None:
    over = ends("stored(1)", UPDATE, Plan("delete"), Plan("create", "x"))

    assert {names(run) for run in over} == {(), ("x",), ("x", "x+")}


@pytest.mark.parametrize("other", OTHERS, ids=lambda plan: f"{plan.kind} {plan.version}".strip())
@pytest.mark.parametrize("versions", [0, pytest.param(1, marks=pytest.mark.long), 2])
def test_a_fault_at_any_step_of_an_update_keeps_the_invariants(versions: int, other: Plan) -> None:
    assert ends(f"stored({versions})", UPDATE, other, faults=1)


@pytest.mark.parametrize("other", OTHERS, ids=lambda plan: f"{plan.kind} {plan.version}".strip())
@pytest.mark.parametrize("versions", [1, pytest.param(2, marks=pytest.mark.long)])
def test_an_update_that_is_delivered_late_or_twice_keeps_the_invariants(versions: int, other: Plan) -> None:
    assert any(run.in_flight for run in ends(f"stored({versions})", UPDATE, other, faults=1, kinds=DELIVERIES))
