"""Runs calls concurrently on the in-memory model, in every order in which their steps can interleave, with faults.

A failing run prints a script that repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from open_alchemy.package_database.admin import import_items
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Item, Steps, StoreOperation, Transact
from open_alchemy.package_database.core.runner import Sleep, Sources, drive, execute_steps
from open_alchemy.package_database.database import SYSTEM
from open_alchemy.package_database.exceptions import BaseError, ConflictError, NotFoundError, UnavailableError
from open_alchemy.package_database.model import credentials, specs, users
from open_alchemy.package_database.model.access_pattern import AccessPattern
from open_alchemy.package_database.model.export_checks import Entry
from open_alchemy.package_database.model.keys import LATEST, padded, record_keys
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import MemoryStore

SECOND = 999_999
"""The second of the newest version that is stored at the start; the next one has a digit more."""

Fault: TypeAlias = Literal["crash", "lost answer", "throttled", "conflict", "delivered late", "delivered twice"]
"""What can happen to a request. "delivered late": the call fails, and the request is executed at a later time.
"delivered twice": the request is executed, and again at a later time."""
FAULTS: Final[tuple[Fault, ...]] = ("crash", "lost answer", "throttled", "conflict")
DELIVERIES: Final[tuple[Fault, ...]] = ("delivered late", "delivered twice")
Step: TypeAlias = tuple[int, Fault | Literal["delivery"] | None]
"""The number of the call that takes a step, and its fault; or the number of the request that is delivered."""

_MOST_STEPS = 500


def _read_and_update(*, sub: str, name: str, version: str) -> Steps[None]:
    """Reads a spec, and publishes its version with a suffix."""
    snapshot = yield from specs.get_spec_snapshot.steps(sub=sub, name=name)
    if snapshot is None:
        raise NotFoundError(name)
    yield from specs.update_spec.steps(
        sub=sub, name=name, revision=snapshot["revision"], version=snapshot["version"] + version, model_count=1
    )


_KINDS: dict[str, tuple[AccessPattern[..., Any], Callable[[Plan], dict[str, Any]]]] = {
    "create": (
        specs.create_update_spec,
        lambda plan: {"sub": plan.sub, "name": plan.name, "version": plan.version, "model_count": 1},
    ),
    "update": (
        AccessPattern("Read and update a spec.", _read_and_update, unbounded=False),
        lambda plan: {"sub": plan.sub, "name": plan.name, "version": plan.version},
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


Running: TypeAlias = Generator[StoreOperation | Sleep, Any, Any]
"""Yields operations of the store, and ``Sleep``. A coroutine has the same interface."""
Begin: TypeAlias = Callable[[AccessPattern[..., Any], dict[str, Any], Sources], Running]
"""Begins a call."""


def by_the_pattern(pattern: AccessPattern[..., Any], arguments: dict[str, Any], sources: Sources) -> Running:
    """Begins a call of an access pattern, without the API around it."""
    steps = pattern.steps(**arguments)
    return execute_steps(steps, next(steps), pattern.name, Deadline(1e9, clock=lambda: 0.0), sources)


@dataclass
class Call:
    """A running call.

    Attributes:
        plan: The call.
        mark: Unique among the calls; its revisions and tokens begin with it.
        begin: Begins it.
        answer: The returned value, or the raised error.
        is_over: Whether it returned, raised or crashed.
        is_crashed: Whether its process ended.
        after: The numbers of the calls that were over when it began.
        seen: The results of its steps.
    """

    plan: Plan
    mark: str
    begin: Begin = by_the_pattern
    answer: Any = None
    is_over: bool = False
    is_crashed: bool = False
    after: frozenset[int] | None = None
    seen: list[object] = field(default_factory=list)
    _running: Running | None = None
    _work: Generator[object, None, Any] | None = None
    _operation: StoreOperation | Sleep | None = None
    _stamps: int = 0
    _drawn: int = 0

    @property
    def is_done(self) -> bool:
        """Whether it returned a result."""
        return self.is_over and not self.is_crashed and not isinstance(self.answer, UnavailableError | ConflictError)

    @property
    def operation(self) -> StoreOperation:
        """Its next operation."""
        if self._running is None:
            pattern, arguments = _KINDS[self.plan.kind]
            sources = SYSTEM._replace(seconds=self._seconds, revision=self._unique)
            self._running = self.begin(pattern, arguments(self.plan), sources)
            self._resume(None)
        assert not isinstance(self._operation, Sleep | None)
        return self._operation

    def step(self, store: MemoryStore, fault: Fault | None = None) -> Transact | None:
        """Takes one step on the store, with a fault, and returns the request that is still to be delivered, if any."""
        assert len(self.seen) < _MOST_STEPS, f"{self.plan} does not end"
        operation = self.operation
        self._work = self._work or store.steps(operation)
        match fault:
            case None | "delivered twice":
                self._continue()
            case "crash":
                self.is_over = self.is_crashed = True
            case "throttled" | "delivered late":
                self._end(UnavailableError(fault))
            case "conflict":
                self._end(ConflictError(fault))
            case "lost answer":
                drive(self._work, lambda _: None)
                self._end(UnavailableError(fault))
        return operation if fault in DELIVERIES and isinstance(operation, Transact) else None

    def can_meet(self, fault: Fault) -> bool:
        """Returns whether a fault is possible at its next step: some are faults of transactions only."""
        return fault not in ("conflict", *DELIVERIES) or isinstance(self.operation, Transact)

    def _continue(self) -> None:
        assert self._work is not None
        try:
            self.seen.append(_trace(next(self._work)))
        except StopIteration as stop:
            self._work = None
            self.seen.append(_trace(stop.value))
            self._resume(stop.value)

    def _resume(self, result: object) -> None:
        """Sends the call a result, and runs it to its next operation or to its end."""
        assert self._running is not None
        try:
            self._operation = self._running.send(result)
            while isinstance(self._operation, Sleep):
                self._operation = self._running.send(None)
        except StopIteration as stop:
            self._end(stop.value)
        except BaseError as error:
            self._end(error)

    def _seconds(self) -> float:
        now = self.plan.now[min(self._stamps, len(self.plan.now) - 1)]
        self._stamps += 1
        return now

    def _unique(self) -> str:
        self._drawn += 1
        return f"{self.mark}, {self._drawn}"

    def _end(self, answer: object) -> None:
        self.answer, self.is_over = answer, True


class Run:
    """Calls on a store, and the steps that they have taken."""

    def __init__(
        self, store: MemoryStore, plans: Sequence[Plan], *, mark: str = "call", begin: Begin = by_the_pattern
    ) -> None:
        self.store = store
        self.calls = [Call(plan, f"{mark} {number}", begin) for number, plan in enumerate(plans)]
        self.schedule: list[Step] = []
        self.in_flight: list[Transact] = []

    @property
    def is_over(self) -> bool:
        """Whether every call is over; requests may still be in flight."""
        return all(call.is_over for call in self.calls)

    def step(self, number: int, event: Fault | Literal["delivery"] | None = None) -> None:
        """Runs one step of a call, or delivers a request that is in flight."""
        self.schedule.append((number, event))
        if event == "delivery":
            drive(self.store.steps(self.in_flight.pop(number)), lambda _: None)
            return
        call = self.calls[number]
        if call.after is None:
            call.after = frozenset(other for other, ended in enumerate(self.calls) if ended.is_over)
        left = call.step(self.store, event)
        if left is not None:
            self.in_flight.append(left)

    def finish(self) -> None:
        """Runs the calls to their ends, one after the other, and delivers what is in flight."""
        for number, call in enumerate(self.calls):
            while not call.is_over:
                self.step(number)
        while self.in_flight:
            self.step(0, "delivery")

    def state(self) -> object:
        """What determines the future of the run and the explanation of its history."""
        items = frozenset((place, _trace(item)) for place, item in self.store.items.items())
        calls = tuple((tuple(call.seen), call.is_over, call.is_crashed, call.after) for call in self.calls)
        return items, calls, tuple((request.token, request.token in self.store.results) for request in self.in_flight)

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
    run = Run(store, [plan], mark=f"before {len(store.results)}")
    run.finish()
    return run.calls[0].answer


def explore(
    store: MemoryStore,
    plans: Sequence[Plan],
    *,
    faults: int = 0,
    kinds: Sequence[Fault] = FAULTS,
    begin: Begin = by_the_pattern,
) -> Iterator[Run]:
    """Yields every state that the calls can reach, each once. A run that is not over continues after it was yielded.

    A crash needs no fault: it is the state in which the call takes no further step while the others do. A request that
    is in flight may never be delivered, or after any step.

    Args:
        store: The store at the start.
        plans: The calls.
        faults: The maximum number of faults in a run.
        kinds: The faults.
        begin: Begins a call.
    """
    seen: set[object] = set()
    schedules: list[list[Step]] = [[]]
    while schedules:
        run = Run(store.copy(), plans, begin=begin)
        for number, event in schedules.pop():
            run.step(number, event)
        while True:
            happened = sum(event is not None and event != "delivery" for _, event in run.schedule)
            if (state := (run.state(), happened)) in seen:
                break
            seen.add(state)
            next_steps = _next_steps(run, kinds if happened < faults else ())
            first = 0 if run.is_over else 1
            schedules += [[*run.schedule, step] for step in next_steps[first:]]
            yield run
            if run.is_over:
                break
            run.step(*next_steps[0])


def _next_steps(run: Run, kinds: Sequence[Fault]) -> list[Step]:
    """Returns the steps that are possible in a state, with the faults of these kinds."""
    steps: list[Step] = []
    for number, call in enumerate(run.calls):
        if not call.is_over:
            steps += [(number, None), *((number, fault) for fault in kinds if call.can_meet(fault))]
    return [*steps, *((number, "delivery") for number in range(len(run.in_flight)))]


def _trace(result: object) -> object:
    """Returns a short representation of a result: of an item with a revision, that and its key."""
    match result:
        case {"revision": revision, "updated_at_id": key}:
            return revision, key
        case list():
            return len(result)  # Its items were seen one by one.
        case _:
            return repr(result)
