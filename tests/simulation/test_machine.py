"""Long runs of many calls with faults, drawn by Hypothesis; a failing one is shrunk and printed as a script.

The ordinary run draws 100 runs of up to 50 steps. ``--long`` draws 4,000.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from open_alchemy.package_database.testing.memory import MemoryStore
from tests.simulation.history import explains
from tests.simulation.invariants import check_specs
from tests.simulation.scheduler import DELIVERIES, FAULTS, SECOND, Call, Plan, Run, execute
from tests.simulation.test_interleavings import bystanders, names, old, stored

_MOST_CALLS = 7

clocks = st.lists(st.integers(SECOND - 3, SECOND + 3), min_size=1, max_size=3).map(tuple)


class _Machine(RuleBasedStateMachine):
    """Calls that take their steps in any order."""

    run: Run
    begun = 0
    """Calls of histories that are explained."""

    def _begin(self, plan: Plan) -> None:
        self.run.calls.append(Call(plan, f"call {self.begun + len(self.run.calls)}"))

    def _running(self) -> list[int]:
        return [number for number, call in enumerate(self.run.calls) if not call.is_over]

    def _has_room(self) -> bool:
        return len(self.run.calls) < _MOST_CALLS

    @precondition(lambda self: bool(self._running()))
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        self.run.step(data.draw(st.sampled_from(self._running())))

    @precondition(lambda self: bool(self._running()))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self._running()))
        while not self.run.calls[number].is_over:
            self.run.step(number)

    @precondition(lambda self: bool(self.run.in_flight))
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self.run.step(data.draw(st.integers(0, len(self.run.in_flight) - 1)), "delivery")

    @precondition(lambda self: bool(self._running()))
    @rule(data=st.data(), fault=st.sampled_from((*FAULTS, *DELIVERIES)))
    def fail(self, data: st.DataObject, fault: Any) -> None:
        number = data.draw(st.sampled_from(self._running()))
        if self.run.calls[number].can_meet(fault):
            self.run.step(number, fault)


class SpecMachine(_Machine):
    """Creates, updates, deletes and reads of one spec."""

    def store_of(self, start: MemoryStore) -> MemoryStore:
        """Returns the store, with the content of the model."""
        return start

    @initialize(versions=st.integers(0, 3), with_revision=st.booleans())
    def fill(self, versions: int, *, with_revision: bool) -> None:
        self.first = old(versions)
        self.run = Run(self.store_of(stored(versions, with_revision=with_revision)), [])
        self.bystanders = bystanders(self.run.store)

    @precondition(_Machine._has_room)
    @rule(version=st.sampled_from(["x", "y", "old 0"]), now=clocks)
    def create(self, version: str, now: tuple[int, ...]) -> None:
        self._begin(Plan("create", version, now))

    @precondition(_Machine._has_room)
    @rule(version=st.sampled_from(["+", "*"]), now=clocks)
    def update(self, version: str, now: tuple[int, ...]) -> None:
        self._begin(Plan("update", version, now))

    @precondition(_Machine._has_room)
    @rule(kind=st.sampled_from(["delete", "get", "list"]))
    def call(self, kind: str) -> None:
        self._begin(Plan(kind))

    @precondition(lambda self: not self._running() and not self.run.in_flight)
    @rule()
    def explain(self) -> None:
        """Finds an order that explains the answers so far, and starts a new history."""
        assert explains(self.first, self.run.calls, names(self.run)), "no order explains the answers"
        self.begun += len(self.run.calls)
        self.first, self.run.calls = names(self.run), []

    @invariant()
    def invariants_hold(self) -> None:
        check_specs(self.run.store)
        assert bystanders(self.run.store) == self.bystanders

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self.run.finish()
            self.invariants_hold()
            self.explain()


class CredentialsMachine(_Machine):
    """Credentials that come, change and go, while the global index lags."""

    keys = ("key 1", "key 2")
    subs = ("u1", "u2")

    @initialize()
    def fill(self) -> None:
        self.run = Run(MemoryStore(index_lags=True), [])
        self.holders: list[set[tuple[str, str]]] = []
        self.since: dict[int, int] = {}
        self.checked: set[int] = set()

    @precondition(_Machine._has_room)
    @rule(key=st.sampled_from(keys), sub=st.sampled_from(subs))
    def store(self, key: str, sub: str) -> None:
        self._begin(Plan("store key", key, sub=sub))

    @precondition(_Machine._has_room)
    @rule(kind=st.sampled_from(["delete key", "delete all keys", "delete all"]), sub=st.sampled_from(subs))
    def delete(self, kind: str, sub: str) -> None:
        self._begin(Plan(kind, sub=sub))

    @precondition(_Machine._has_room)
    @rule(key=st.sampled_from(keys))
    def get_user(self, key: str) -> None:
        self._begin(Plan("get user", key))

    @rule()
    def catch_up(self) -> None:
        self.run.store.catch_up()

    @invariant()
    def a_key_finds_only_who_held_it(self) -> None:
        """A user was found who held the key at some moment of the call."""
        if not hasattr(self, "run"):
            return
        self.holders.append({(str(item["public_key"]), str(item["sub"])) for item in self.run.store.items.values()})
        for number, call in enumerate(self.run.calls):
            self.since.setdefault(number, len(self.holders) - 1)
            if call.is_done and number not in self.checked:
                self.checked.add(number)
                during = set().union(*self.holders[max(0, self.since[number] - 1) :])
                found = getattr(call.answer, "sub", None)
                assert found is None or (call.plan.version, found) in during

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self.run.finish()
            self.run.store.catch_up()
            for key in self.keys:
                held = {sub for known, sub in self._held() if known == key}
                found = {getattr(execute(self.run.store, Plan("get user", key)), "sub", None)} - {None}
                assert found == held or len(held) > 1

    def _held(self) -> set[tuple[str, str]]:
        return {(str(item["public_key"]), str(item["sub"])) for item in self.run.store.items.values()}


TestSpecMachine = SpecMachine.TestCase
TestCredentialsMachine = CredentialsMachine.TestCase
