"""Runs calls side by side on the in-memory model, in every order in which their steps can interleave, with faults.

A failing run prints itself as a script that replays it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from open_alchemy.package_database.admin import import_items
from open_alchemy.package_database.core.operations import (
    Backoff,
    Item,
    Operation,
    Stamp,
    Stamped,
    Steps,
    StoreOperation,
    Transact,
)
from open_alchemy.package_database.core.runner import drive
from open_alchemy.package_database.exceptions import BaseError, ConflictError, UnavailableError
from open_alchemy.package_database.model import credentials, specs, users
from open_alchemy.package_database.model.access_pattern import AccessPattern
from open_alchemy.package_database.model.keys import LATEST, padded, record_keys
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.model.stored_items import Entry
from open_alchemy.package_database.testing.memory import MemoryStore

SECOND = 999_999
"""The second of the newest version that is stored at the start; the next one has a digit more."""

Fault: TypeAlias = Literal["crash", "lost answer", "throttled", "conflict"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
Step: TypeAlias = tuple[int, Fault | None]
"""Which call takes a step, and the fault that meets it."""

_MOST_STEPS = 500

_KINDS: dict[str, tuple[AccessPattern[..., Any], Callable[[Plan], dict[str, Any]]]] = {
    "create": (
        specs.create_update_spec,
        lambda plan: {"sub": plan.sub, "name": plan.name, "version": plan.version, "model_count": 1},
    ),
    "delete": (specs.delete_spec, lambda plan: {"sub": plan.sub, "name": plan.name}),
    "delete all specs": (specs.delete_all_specs, lambda plan: {"sub": plan.sub}),
    "delete all": (users.delete_all, lambda plan: {"sub": plan.sub}),
    "get": (specs.get_spec, lambda plan: {"sub": plan.sub, "name": plan.name}),
    "list": (specs.list_spec_versions, lambda plan: {"sub": plan.sub, "name": plan.name}),
    "list specs": (specs.list_specs, lambda plan: {"sub": plan.sub}),
    "store key": (
        credentials.create_update_credentials,
        lambda plan: {
            "sub": plan.sub,
            "id_": "1",
            "public_key": plan.version,
            "secret_key_hash": b"hash",
            "salt": b"salt",
        },
    ),
    "delete key": (credentials.delete_credentials, lambda plan: {"sub": plan.sub, "id_": "1"}),
    "delete all keys": (credentials.delete_all_credentials, lambda plan: {"sub": plan.sub}),
    "get user": (credentials.get_user, lambda plan: {"public_key": plan.version}),
    "import": (
        AccessPattern("Import a spec.", import_items.import_items, unbounded=True),
        lambda plan: {"entries": exported(plan)},
    ),
}


def exported(plan: Plan) -> list[Entry]:
    """Returns what an export holds of a spec with this version at each of the plan's times."""
    common: Item = {"sub": plan.sub, "id": plan.name, "name": plan.name, "version": plan.version, "model_count": 1}
    records: list[Item] = []
    for now in plan.now:
        record = {**common, "updated_at": str(now), "revision": f"exported {now}"}
        records.append({**record, **record_keys(padded(now), plan.name)})
    latest = {**records[-1], **record_keys(LATEST, plan.name)}
    return [Entry(SPECS, record) for record in (*records, latest)]


@dataclass(frozen=True)
class Plan:
    """A call to make.

    Attributes:
        kind: The function, by its name in ``_KINDS``.
        version: The version of a spec, or the public key.
        now: The caller's time at each of its tries; the last for ever.
        sub: The user.
        name: The name of the spec.
    """

    kind: str
    version: str = ""
    now: tuple[int, ...] = (SECOND,)
    sub: str = "u1"
    name: str = "a"


Begin: TypeAlias = Callable[[AccessPattern[..., Any], dict[str, Any]], Any]
"""Begins a call: returns its steps, a generator or a coroutine that yields operations."""


def by_the_pattern(pattern: AccessPattern[..., Any], arguments: dict[str, Any]) -> Steps[Any]:
    """Begins a call by the access pattern alone."""
    return pattern.steps(**arguments)


@dataclass
class Call:
    """A call at work.

    Attributes:
        plan: What is called.
        mark: What no other call has, for its revisions.
        begin: How it is begun.
        answer: What it returned, or the error that it raised.
        is_over: Whether it returned, raised or crashed.
        is_crashed: Whether its caller is gone.
        after: The calls that were over when it began, by their number.
        seen: What the store answered.
    """

    plan: Plan
    mark: str
    begin: Begin = by_the_pattern
    answer: Any = None
    is_over: bool = False
    is_crashed: bool = False
    after: frozenset[int] | None = None
    seen: list[object] = field(default_factory=list)
    _steps: Steps[Any] | None = None
    _work: Generator[object, None, Any] | None = None
    _operation: Operation | None = None
    _stamps: int = 0

    @property
    def is_done(self) -> bool:
        """Whether it ended as it should."""
        return self.is_over and not self.is_crashed and not isinstance(self.answer, UnavailableError | ConflictError)

    @property
    def operation(self) -> StoreOperation:
        """What it asks of the store next."""
        if self._steps is None:
            pattern, arguments = _KINDS[self.plan.kind]
            self._steps = self.begin(pattern, arguments(self.plan))
            self._resume(None)
        assert not isinstance(self._operation, Stamp | Backoff | None)
        return self._operation

    def step(self, store: MemoryStore, fault: Fault | None = None) -> None:
        """Takes one step on the store, or meets a fault; others may take their steps before the next."""
        assert len(self.seen) < _MOST_STEPS, f"{self.plan} does not end"
        self._work = self._work or store.steps(self.operation)
        match fault:
            case None:
                self._work_on()
            case "crash":
                self.is_over = self.is_crashed = True
            case "throttled":
                self._end(UnavailableError(fault))
            case "conflict":
                self._end(ConflictError(fault))
            case "lost answer":
                drive(self._work, lambda _: None)
                self._end(UnavailableError(fault))

    def can_meet(self, fault: Fault) -> bool:
        """Returns whether a fault is possible at its next step: only a transaction meets others."""
        return fault != "conflict" or isinstance(self.operation, Transact)

    def _work_on(self) -> None:
        assert self._work is not None
        try:
            self.seen.append(_trace(next(self._work)))
        except StopIteration as stop:
            self._work = None
            self.seen.append(_trace(stop.value))
            self._resume(stop.value)

    def _resume(self, result: object) -> None:
        """Gives the pattern a result, and runs it up to its next step on the store, or to its end."""
        global at_work  # noqa: PLW0603 (one call resumes at a time)
        at_work = self
        assert self._steps is not None
        try:
            self._operation = self._steps.send(result)
            while isinstance(self._operation, Stamp | Backoff):
                self._operation = self._steps.send(self.stamp() if isinstance(self._operation, Stamp) else None)
        except StopIteration as stop:
            self._end(stop.value)
        except BaseError as error:
            self._end(error)

    def stamp(self) -> Stamped:
        """Returns the time of its next try, and a revision."""
        now = self.plan.now[min(self._stamps, len(self.plan.now) - 1)]
        self._stamps += 1
        return Stamped(now, f"{self.mark}, try {self._stamps}")

    def _end(self, answer: object) -> None:
        self.answer, self.is_over = answer, True


at_work: Call
"""The call that was resumed last."""


class Run:
    """Calls on a store, and the steps that they took so far."""

    def __init__(
        self, store: MemoryStore, plans: Sequence[Plan], *, mark: str = "call", begin: Begin = by_the_pattern
    ) -> None:
        self.store = store
        self.calls = [Call(plan, f"{mark} {number}", begin) for number, plan in enumerate(plans)]
        self.schedule: list[Step] = []

    @property
    def is_over(self) -> bool:
        """Whether every call is."""
        return all(call.is_over for call in self.calls)

    def step(self, number: int, fault: Fault | None = None) -> None:
        """Has one call take a step."""
        call = self.calls[number]
        if call.after is None:
            call.after = frozenset(other for other, ended in enumerate(self.calls) if ended.is_over)
        self.schedule.append((number, fault))
        call.step(self.store, fault)

    def finish(self) -> None:
        """Runs the calls that are not over to their ends, one after the other."""
        for number, call in enumerate(self.calls):
            while not call.is_over:
                self.step(number)

    def state(self) -> object:
        """What the future depends on, and what its history can be told from."""
        items = frozenset((place, _trace(item)) for place, item in self.store.items.items())
        calls = tuple((tuple(call.seen), call.is_over, call.is_crashed, call.after) for call in self.calls)
        return items, calls

    def script(self, start: str) -> str:
        """Returns a script that replays the run; ``start`` is the expression of the store at its start."""
        return (
            f"\nfrom tests.simulation.test_interleavings import *\n"
            f"run = Run({start}, {[call.plan for call in self.calls]!r})\n"
            f"for number, fault in {self.schedule!r}:\n"
            f"    run.step(number, fault)\n"
            f"check_specs(run.store)\n"
        )


def execute(store: MemoryStore, plan: Plan) -> Any:
    """Makes a call alone, and returns its answer."""
    run = Run(store, [plan], mark=f"before {store.writes}")
    run.finish()
    return run.calls[0].answer


def explore(
    store: MemoryStore, plans: Sequence[Plan], *, faults: int = 0, begin: Begin = by_the_pattern
) -> Iterator[Run]:
    """Yields every state that the calls can reach, each once.

    A crash of a caller is among them without a fault: it is the state in which it takes no further step, while the
    others go on.

    Args:
        store: The store at the start.
        plans: The calls.
        faults: How many faults may happen in a run.
        begin: How a call is begun.
    """
    seen: set[object] = set()
    schedules: list[list[Step]] = [[]]
    while schedules:
        schedule = schedules.pop()
        run = Run(store.copy(), plans, begin=begin)
        for number, fault in schedule:
            run.step(number, fault)
        happened = sum(fault is not None for _, fault in schedule)
        if (state := (run.state(), happened)) in seen:
            continue
        seen.add(state)
        yield run
        for number, call in enumerate(run.calls):
            if not call.is_over:
                schedules.append([*schedule, (number, None)])
                possible = [fault for fault in FAULTS if happened < faults and call.can_meet(fault)]
                schedules += [[*schedule, (number, fault)] for fault in possible]


def _trace(result: object) -> object:
    """Returns what tells results apart, in little: an item with a revision is told by that and its key."""
    match result:
        case {"revision": revision, "updated_at_id": key}:
            return revision, key
        case list():
            return len(result)  # Its items were seen one by one.
        case _:
            return repr(result)
