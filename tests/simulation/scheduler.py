"""Runs calls side by side on the in-memory model, in every order in which their steps can interleave."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from open_alchemy.package_database.exceptions import BaseError
from open_alchemy.package_database.operations import Backoff, Operation, Stamp, Stamped, Steps
from tests.memory import MemoryStore

_MOST_STEPS = 500


@dataclass
class Call:
    """One call of an access pattern by a caller with a clock of its own.

    Attributes:
        name: Tells it from the other calls.
        steps: The access pattern at work.
        now: The caller's time.
    """

    name: str
    steps: Steps[Any]
    now: int
    answer: object = None
    is_done: bool = False
    seen: list[object] = field(default_factory=list)
    _work: Generator[object, None, Any] | None = None
    _operation: Operation | None = None

    def begin(self) -> None:
        """Runs up to the first step on the store."""
        self._resume(None)

    def step(self, store: MemoryStore) -> None:
        """Takes one step on the store; others may take theirs before the next."""
        assert len(self.seen) < _MOST_STEPS, f"{self.name} does not end"
        assert self._operation is not None
        if self._work is None:
            assert not isinstance(self._operation, Stamp | Backoff)
            self._work = store.steps(self._operation)
        try:
            self.seen.append(_trace(next(self._work)))
        except StopIteration as stop:
            self._work = None
            self.seen.append(_trace(stop.value))
            self._resume(stop.value)

    def _resume(self, result: object) -> None:
        """Gives the pattern a result, and runs it up to its next step on the store, or to its end."""
        try:
            self._operation = self.steps.send(result)
            while isinstance(self._operation, Stamp | Backoff):
                drawn = Stamped(self.now, f"revision of {self.name} after {len(self.seen)} steps")
                self._operation = self.steps.send(drawn if isinstance(self._operation, Stamp) else None)
        except StopIteration as stop:
            self.answer, self.is_done = stop.value, True
        except BaseError as error:
            self.answer, self.is_done = error, True


@dataclass
class Run:
    """The calls, the store, and the order in which the calls took their steps so far."""

    store: MemoryStore
    calls: Sequence[Call]
    schedule: tuple[int, ...] = ()

    @property
    def is_over(self) -> bool:
        return all(call.is_done for call in self.calls)

    def state(self) -> object:
        """What the future depends on: the store, and what each call has seen."""
        items = frozenset((place, _trace(item)) for place, item in self.store.items.items())
        return items, tuple(tuple(call.seen) for call in self.calls)

    def __str__(self) -> str:
        return "schedule: " + ", ".join(self.calls[number].name for number in self.schedule)


def _trace(result: object) -> object:
    """Returns what tells results apart, in little: an item with a revision is told by that and its key."""
    match result:
        case {"revision": revision, "updated_at_id": key}:
            return revision, key
        case list():
            return len(result)  # Its items were seen one by one.
        case _:
            return repr(result)


def explore(start: Callable[[], Run]) -> Iterator[Run]:
    """Yields every state that the calls can reach, each once.

    A crash of a caller is among them: it is the state in which it takes no further step, while the others go on.
    """
    seen: set[object] = set()
    schedules: list[tuple[int, ...]] = [()]
    while schedules:
        schedule = schedules.pop()
        run = start()
        for call in run.calls:
            call.begin()
        for number in schedule:
            run.calls[number].step(run.store)
        run.schedule = schedule
        if (state := run.state()) in seen:
            continue
        seen.add(state)
        yield run
        schedules += [(*schedule, number) for number, call in enumerate(run.calls) if not call.is_done]
