"""Every interleaving of two calls keeps the invariants, with a fault at every step; with --long, of three calls too.

A crash needs no fault: the invariants are checked in every state, and from each the other calls also run to their ends.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import combinations_with_replacement
from typing import Any

import pytest

from open_alchemy.package_database import CredentialsAuthInfo, NotFoundError
from open_alchemy.package_database.core.operations import Item, StoreOperation, Transact
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import MemoryStore
from tests.simulation.history import explains
from tests.simulation.invariants import check_specs, versions_of
from tests.simulation.scheduler import DELIVERIES, FAULTS, SECOND, Fault, Plan, Run, execute, explore

BYSTANDERS = (("u2", "a"), ("u1", "a#b"), ("u1", "a#latest"))


def old(versions: int) -> tuple[str, ...]:
    return tuple(f"old {number}" for number in range(versions))


def stored(versions: int, *, with_revision: bool = True) -> MemoryStore:
    """Returns a store with so many versions of spec a, the newest at SECOND, and specs that no call is about."""
    store = MemoryStore()
    for number, version in enumerate(old(versions)):
        execute(store, Plan("create", version, (SECOND - versions + 1 + number,)))
    for sub, name in BYSTANDERS:
        execute(store, Plan("create", "bystander", sub=sub, name=name))
    if not with_revision:
        for place, item in store.items.items():
            store.items[place] = {name: value for name, value in item.items() if name != "revision"}
    return store


def bystanders(store: MemoryStore) -> dict[object, Item]:
    return {place: item for place, item in store.items.items() if (item["sub"], item["id"]) in BYSTANDERS}


def names(run: Run, sub: str = "u1", id_: str = "a") -> tuple[str, ...]:
    return tuple(str(record["version"]) for record in versions_of(run.store, sub, id_))


def states(start: str, plans: Sequence[Plan], *, faults: int = 0, kinds: Sequence[Fault] = FAULTS) -> Iterator[Run]:
    """Yields every state. Checks the invariants in it and, at the end of a run, that an order explains the results."""
    store: MemoryStore = eval(start)  # noqa: S307 (an expression of this file, which the script shows)
    unchanged = bystanders(store)
    first = names(Run(store, []))
    for run in explore(store, plans, faults=faults, kinds=kinds):
        try:
            check_specs(run.store)
            assert bystanders(run.store) == unchanged
            assert not run.is_over or explains(first, run.calls, names(run)), "no order explains the answers"
        except AssertionError as error:
            error.add_note(run.script(start))
            raise
        yield run


def ends(start: str, *plans: Plan, faults: int = 0, kinds: Sequence[Fault] = FAULTS) -> list[Run]:
    """Returns the states in which every call is over."""
    over = [run for run in states(start, plans, faults=faults, kinds=kinds) if run.is_over]
    assert over
    return over


@pytest.mark.parametrize("versions", range(3))
@pytest.mark.parametrize("clocks", [(0, 0), (0, 1), (1, 1), (-100, 1), (-1, -100)])
def test_two_creates_both_stay(versions: int, clocks: tuple[int, int]) -> None:
    over = ends(
        f"stored({versions})",
        Plan("create", "x", (SECOND + clocks[0],)),
        Plan("create", "y", (SECOND + clocks[1],)),
    )

    assert {names(run) for run in over} == {(*old(versions), "x", "y"), (*old(versions), "y", "x")}


@pytest.mark.parametrize("versions", range(2))
@pytest.mark.parametrize("clocks", [(0, 0), (0, 1), (-100, 1)])
def test_two_creates_of_one_version_leave_that_version(versions: int, clocks: tuple[int, int]) -> None:
    over = ends(
        f"stored({versions})",
        Plan("create", "x", (SECOND + clocks[0],)),
        Plan("create", "x", (SECOND + clocks[1],)),
    )

    assert {names(run)[-1] for run in over} == {"x"}
    assert {len(names(run)) - versions for run in over} <= {1, 2}


@pytest.mark.parametrize("clocks", [(SECOND, SECOND - 10), (SECOND + 1, SECOND - 1, SECOND + 5)])
def test_a_clock_that_steps_back_during_a_call_loses_nothing(clocks: tuple[int, ...]) -> None:
    over = ends("stored(1)", Plan("create", "x", clocks), Plan("create", "y", clocks[::-1]))

    assert {names(run) for run in over} == {("old 0", "x", "y"), ("old 0", "y", "x")}


@pytest.mark.parametrize("with_revision", [True, False])
@pytest.mark.parametrize("versions", range(1, 4))
@pytest.mark.parametrize("version", ["x", "newest"])
@pytest.mark.parametrize("clock", [-1, 0, 1])
def test_a_create_beside_a_delete_comes_before_or_after_it(
    versions: int, version: str, clock: int, *, with_revision: bool
) -> None:
    created = old(versions)[-1] if version == "newest" else version
    over = ends(
        f"stored({versions}, with_revision={with_revision})",
        Plan("create", created, (SECOND + clock,)),
        Plan("delete"),
    )

    assert {names(run) for run in over} == {(), (created,)}


@pytest.mark.parametrize("versions", range(1, 4))
def test_two_deletes_leave_nothing(versions: int) -> None:
    assert {names(run) for run in ends(f"stored({versions})", Plan("delete"), Plan("delete"))} == {()}


@pytest.mark.long
@pytest.mark.parametrize(("versions", "clock"), [(1, 0), (1, 1), (2, -1), (2, 0)])
def test_two_deletes_and_a_create_in_one_second_keep_the_invariants(versions: int, clock: int) -> None:
    over = ends(
        f"stored({versions})",
        Plan("delete"),
        Plan("delete"),
        Plan("create", "x", (SECOND + clock,)),
    )

    assert {names(run) for run in over} == {(), ("x",)}


@pytest.mark.long
@pytest.mark.parametrize("versions", range(2))
def test_three_creates_all_stay(versions: int) -> None:
    over = ends(f"stored({versions})", *(Plan("create", version) for version in "xyz"))

    assert {tuple(sorted(names(run))) for run in over} == {(*old(versions), "x", "y", "z")}


@pytest.mark.long
@pytest.mark.parametrize("versions", range(2))
def test_two_creates_and_a_delete_leave_what_came_after_it(versions: int) -> None:
    over = ends(f"stored({versions})", Plan("create", "x"), Plan("create", "y"), Plan("delete"))

    ordered = {(), ("x",), ("y",), ("x", "y"), ("y", "x")}
    assert {names(run)[-2:] for run in over} >= ordered - {()}
    assert {names(run) for run in over} <= ordered | {(*old(versions), *names) for names in ordered}


def test_a_create_beside_the_delete_of_more_versions_than_one_transaction_takes() -> None:
    over = ends("stored(101)", Plan("create", "x"), Plan("delete"))

    assert {names(run) for run in over} == {(), ("x",)}


CALLS = [
    Plan("create", "x"),
    Plan("create", "y", (SECOND - 1,)),
    Plan("create", "old 1"),
    Plan("delete"),
    Plan("get"),
    Plan("list"),
]


@pytest.mark.parametrize(
    "plans",
    list(combinations_with_replacement(CALLS, 2)),
    ids=lambda plans: " and ".join(f"{plan.kind} {plan.version}".strip() for plan in plans),
)
@pytest.mark.parametrize("versions", [0, pytest.param(1, marks=pytest.mark.long), 2])
def test_a_fault_at_any_step_of_two_calls_keeps_the_invariants(versions: int, plans: tuple[Plan, Plan]) -> None:
    over = ends(f"stored({versions})", *plans, faults=1)

    assert any(not call.is_done for run in over for call in run.calls)


WRITES = [plan for plan in CALLS if plan.kind in ("create", "delete")]


@pytest.mark.parametrize(
    "plans",
    [plans for plans in combinations_with_replacement(CALLS, 2) if set(plans) & set(WRITES)],
    ids=lambda plans: " and ".join(f"{plan.kind} {plan.version}".strip() for plan in plans),
)
@pytest.mark.parametrize("versions", [0, pytest.param(1, marks=pytest.mark.long), 2])
def test_a_request_that_is_delivered_late_or_twice_keeps_the_invariants(
    versions: int, plans: tuple[Plan, Plan]
) -> None:
    over = ends(f"stored({versions})", *plans, faults=1, kinds=DELIVERIES)

    assert any(run.in_flight for run in over) or versions == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "plans",
    list(combinations_with_replacement(WRITES, 3)),
    ids=lambda plans: " and ".join(f"{plan.kind} {plan.version}".strip() for plan in plans),
)
@pytest.mark.parametrize("versions", range(2))
def test_three_calls_with_a_request_that_is_delivered_late_or_twice_keep_the_invariants(
    versions: int, plans: tuple[Plan, ...]
) -> None:
    assert any(run.in_flight for run in ends(f"stored({versions})", *plans, faults=1, kinds=DELIVERIES))


class StoreWithoutTokens(MemoryStore):
    """Executes every request that is delivered, as PutItem, DeleteItem and BatchWriteItem do."""

    def copy(self) -> StoreWithoutTokens:
        twin = StoreWithoutTokens()
        twin.items = dict(self.items)
        return twin

    def steps(self, operation: StoreOperation) -> Generator[object, None, Any]:
        return super().steps(operation._replace(token="") if isinstance(operation, Transact) else operation)


KEY_CALLS = [
    Plan("store key", "old"),
    Plan("store key", "new"),
    Plan("delete key"),
    Plan("delete all keys"),
    Plan("delete all"),
]


def items_after_a_second_delivery(store: MemoryStore, first: Plan, second: Plan) -> list[tuple[object, object]]:
    """Returns the items after two calls, and after the late second delivery of a transaction of the first."""
    execute(store, Plan("store key", "first"))
    found: list[tuple[object, object]] = []
    for run in explore(store, [first], faults=1, kinds=["delivered twice"]):
        if run.is_over and run.in_flight:
            execute(run.store, second)
            before = dict(run.store.items)
            run.step(0, "delivery")
            found.append((before, run.store.items))
    return found


@pytest.mark.parametrize("second", KEY_CALLS, ids=lambda plan: f"{plan.kind} {plan.version}".strip())
@pytest.mark.parametrize("first", KEY_CALLS, ids=lambda plan: f"{plan.kind} {plan.version}".strip())
def test_a_second_delivery_undoes_no_later_write_of_credentials(first: Plan, second: Plan) -> None:
    found = items_after_a_second_delivery(MemoryStore(), first, second)

    assert found
    assert all(before == after for before, after in found)


def test_without_tokens_a_second_delivery_brings_a_revoked_key_back() -> None:
    found = items_after_a_second_delivery(StoreWithoutTokens(), Plan("store key", "old"), Plan("delete key"))

    assert any(before != after for before, after in found)


def test_without_tokens_a_second_delivery_brings_a_deleted_spec_back() -> None:
    run = Run(StoreWithoutTokens(), [Plan("create", "x")])
    run.step(0, "delivered twice")
    execute(run.store, Plan("delete"))

    run.step(0, "delivery")

    assert names(run) == ("x",)


@pytest.mark.parametrize("versions", range(1, 3))
@pytest.mark.parametrize("kind", ["delete all", "delete all specs"])
def test_deleting_all_beside_a_create_comes_before_or_after_it(versions: int, kind: str) -> None:
    user = "u3"
    store = stored(0)
    for name in ("a", "b"):
        for number, version in enumerate(old(versions)):
            execute(store, Plan("create", version, (SECOND - versions + 1 + number,), user, name))
    unchanged = bystanders(store)

    over = []
    for run in explore(store, [Plan("create", "x", sub=user), Plan(kind, sub=user)]):
        check_specs(run.store)
        assert bystanders(run.store) == unchanged
        over += [run] if run.is_over else []

    assert {names(run, user) for run in over} == {(), ("x",)}
    assert {names(run, user, "b") for run in over} == {()}


def test_version_records_that_version_4_left_without_a_latest_record_are_deleted() -> None:
    def broken() -> MemoryStore:
        store = stored(2)
        del store.items[SPECS.name, b"u1", b"latest#a"]
        return store

    one, all_ = broken(), broken()
    execute(one, Plan("delete"))
    execute(all_, Plan("delete all specs"))

    assert versions_of(one, "u1", "a") == versions_of(all_, "u1", "a") == []
    assert bystanders(one) == bystanders(broken())


@pytest.mark.parametrize("clock", [0, -1])
def test_a_version_record_that_version_4_left_without_a_latest_record_is_not_overwritten(clock: int) -> None:
    store = stored(1)
    del store.items[SPECS.name, b"u1", b"latest#a"]

    execute(store, Plan("create", "x", (SECOND + clock,)))

    versions = {(str(record["version"]), int(record["updated_at"])) for record in versions_of(store, "u1", "a")}
    assert versions == {("old 0", SECOND), ("x", SECOND + 1 if clock == 0 else SECOND + clock)}


@pytest.mark.parametrize("versions", range(1, 4))
def test_a_reader_beside_a_delete_sees_the_newest_version_or_no_spec(versions: int) -> None:
    over = ends(f"stored({versions})", Plan("list"), Plan("get"), Plan("delete"))

    for run in over:
        listed, got = (call.answer for call in run.calls[:2])
        assert isinstance(listed, NotFoundError) or listed[-1]["version"] == old(versions)[-1]
        assert got is None or got["version"] == old(versions)[-1]


@pytest.mark.parametrize("versions", range(3))
def test_a_reader_beside_a_create_sees_all_of_it_or_nothing(versions: int) -> None:
    over = ends(f"stored({versions})", Plan("list"), Plan("create", "x"))

    for run in over:
        listed = run.calls[0].answer
        seen = () if isinstance(listed, NotFoundError) else tuple(info["version"] for info in listed)
        assert seen in (old(versions), (*old(versions), "x"))


@pytest.mark.parametrize("kind", ["delete key", "delete all keys", "delete all", "store key"])
def test_a_revoked_key_authenticates_nobody_while_the_index_lags(kind: str) -> None:
    store = MemoryStore(index_lags=True)
    execute(store, Plan("store key", "old"))
    store.catch_up()
    assert execute(store, Plan("get user", "old")) is not None

    execute(store, Plan(kind, "new"))

    assert execute(store, Plan("get user", "old")) is None


@pytest.mark.parametrize("public_key", ["old", "new"])
def test_a_user_is_found_only_with_the_key_that_is_stored(public_key: str) -> None:
    store = MemoryStore()
    execute(store, Plan("store key", "old"))

    over = [run for run in explore(store, [Plan("store key", "new"), Plan("get user", public_key)]) if run.is_over]

    assert {run.calls[1].answer for run in over} == {None, CredentialsAuthInfo("u1", b"hash", b"salt")}
    for run in over:
        assert execute(run.store, Plan("get user", "old")) is None
        assert execute(run.store, Plan("get user", "new")) is not None


def test_a_key_that_changed_hands_finds_its_new_holder_while_the_index_lags() -> None:
    store = MemoryStore(index_lags=True)
    execute(store, Plan("store key", "key"))
    store.catch_up()
    execute(store, Plan("store key", "other"))
    execute(store, Plan("store key", "key", sub="u2"))

    assert execute(store, Plan("get user", "key")) is None
    store.catch_up()
    assert execute(store, Plan("get user", "key")).sub == "u2"


def test_a_failing_run_prints_a_script_that_replays_it() -> None:
    run = Run(stored(1), [Plan("create", "x"), Plan("delete")])
    for step in [(0, None), (1, None), (1, "crash")]:
        run.step(*step)  # type: ignore[arg-type]
    replayed: dict[str, object] = {}

    exec(run.script("stored(1)"), replayed)  # noqa: S102 (the script is what is tested)

    again = replayed["run"]
    assert isinstance(again, Run)
    assert again.store.items == run.store.items
    assert again.state() == run.state()
