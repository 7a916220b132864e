"""Virtual time, clocks, processes that stop, and messages that are late, lost, doubled and reordered."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

from tests.coherence.choices import Choices

DELAYS = (0.01, 0.06, 0.3, 0.8, 2.0, 4.5)
LOST = len(DELAYS)
DOUBLED = LOST + 1


class Temper(NamedTuple):
    """How a history behaves: the weights of ``DELAYS`` and, for messages, of loss and doubling; the rate of faults."""

    message: tuple[float, ...]
    stream: tuple[float, ...]
    store: tuple[float, ...]
    registry: tuple[float, ...]
    fault: float


CALM = Temper((1,), (1,), (1,), (1,), 0.0)
TEMPERS = (
    Temper((90, 6, 3, 1, 0, 0, 1, 1), (97, 2, 1), (85, 10, 5, 3, 1, 1), (95, 3, 2), 0.1),
    Temper((40, 20, 20, 8, 3, 2, 5, 5), (85, 10, 3, 1, 0.3, 0, 0.5, 0.5), (50, 20, 20, 8, 5, 3), (85, 8, 5, 2), 0.05),
    Temper((70, 10, 10, 5, 1, 1, 2, 9), (95, 3, 1, 0.3), (30, 10, 20, 20, 10, 3), (60, 15, 15, 10, 3, 1), 0.03),
    Temper((80, 10, 5, 3, 1, 0, 1, 1), (94, 3, 2, 1, 0.3, 0, 0.1, 0.1), (70, 10, 10, 8, 3, 3), (90, 5, 3, 2), 0.2),
    Temper((95, 3, 1), (97, 2, 1), (95, 3, 2), (60, 10, 10, 15, 5), 0.3),
    Temper((95, 3, 1), (97, 2, 1), (95, 3, 2), (95, 3, 2), 0.3),
    Temper((20, 20, 20, 20, 15, 5, 1, 9), (90, 5, 5), (60, 10, 10, 10, 10), (98, 2), 0.05),
    Temper((97, 2, 1), (97, 2, 1), (40, 5, 10, 10, 20, 15), (98, 2), 0.05),
)


class Process:
    """A process with a clock of its own, which stops, goes on, crashes and starts again.

    Attributes:
        start_count: Counts its starts. What was scheduled for an earlier one does not happen.
        stopped_until: When it goes on.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.start_count = 0
        self.stopped_until = 0.0
        self._rate, self._since, self._reading = 1.0, 0.0, 0.0

    def __repr__(self) -> str:
        return self.name

    def clock(self, now: float) -> float:
        """Returns what its clock shows."""
        return self._reading + (now - self._since) * self._rate

    def set_rate(self, rate: float, now: float) -> None:
        """Changes the rate of its clock from now on."""
        self._reading, self._since, self._rate = self.clock(now), now, rate

    def until(self, reading: float, now: float) -> float:
        """Returns how long it takes until its clock shows this."""
        return (reading - self.clock(now)) / self._rate


class Network:
    """Events in virtual time.

    Attributes:
        now: The time.
        trace: What happened, if it is recorded.
    """

    def __init__(self, choices: Choices, temper: Temper, *, is_traced: bool = False) -> None:
        self.choices, self.temper = choices, temper
        self.now = 0.0
        self.trace: list[str] | None = [] if is_traced else None
        self._events: list[tuple[float, int, Process | None, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = count()
        self._last: dict[tuple[str, str], float] = {}
        self.cuts: dict[frozenset[str], float] = {}

    def after(self, delay: float, process: Process | None, call: Callable[..., object], *arguments: Any) -> None:
        """Schedules a step of a process; if it is stopped by then, when it goes on."""
        start = 0 if process is None else process.start_count
        heapq.heappush(self._events, (self.now + delay, next(self._count), process, start, call, arguments))

    def run(self, until: float, check: Callable[[Process | None], None]) -> None:
        """Runs the events up to a time, each with a check of what its process, or the store, may have changed."""
        while self._events and self._events[0][0] <= until:
            at, number, process, start, call, arguments = heapq.heappop(self._events)
            if process is not None:
                if process.start_count != start:
                    continue
                if process.stopped_until > at:
                    heapq.heappush(self._events, (process.stopped_until, number, process, start, call, arguments))
                    continue
            self.now = at
            if self.trace is not None:
                name = "-" if process is None else process.name
                self.trace.append(f"{at:8.3f} {name} {call.__name__}{arguments}")
            call(*arguments)
            check(process)
        self.now = until

    def delay(self, weights: tuple[float, ...]) -> float:
        """Returns a delay."""
        return DELAYS[self.choices.pick(weights)]

    def send(self, sender: str, receiver: Process, call: Callable[..., object], *arguments: Any) -> None:
        """Sends a message that may be late, lost, doubled or reordered."""
        if self.is_cut(sender, receiver.name):
            return
        decision = self.choices.pick(self.temper.message)
        if decision == DOUBLED:
            self.after(DELAYS[0], receiver, call, *arguments)
            decision = self.choices.pick(self.temper.store)
        if decision != LOST:
            self.after(DELAYS[decision], receiver, call, *arguments)

    def stream(self, stream: tuple[str, str], receiver: Process, call: Callable[..., object], *arguments: Any) -> None:
        """Sends a message of an ordered stream, which may be late, lost or doubled."""
        if self.is_cut(*stream):
            return
        decision = self.choices.pick(self.temper.stream)
        if decision == LOST:
            return
        copies = 2 if decision == DOUBLED else 1
        at = max(self._last.get(stream, 0.0), self.now + DELAYS[0 if decision == DOUBLED else decision])
        self._last[stream] = at
        for _ in range(copies):
            self.after(at - self.now, receiver, call, *arguments)

    def is_cut(self, one: str, other: str) -> bool:
        """Returns whether two processes cannot reach each other now."""
        return bool(self.cuts) and self.cuts.get(frozenset((one, other)), 0.0) > self.now
