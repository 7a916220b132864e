"""Virtual time, clocks, processes that stop, and messages that are late, lost, doubled and reordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

from tests.coherence.choices import Choices, Weights, weights

DELAYS = (0.01, 0.06, 0.3, 0.8, 2.0, 4.5)
LOST = len(DELAYS)
DOUBLED = LOST + 1


class Temper(NamedTuple):
    """How a history behaves: the weights of ``DELAYS`` and, for messages, of loss and doubling; the rate of faults."""

    message: Weights
    stream: Weights
    store: Weights
    registry: Weights
    fault: Weights


def _temper(
    message: tuple[float, ...],
    stream: tuple[float, ...],
    store: tuple[float, ...],
    registry: tuple[float, ...],
    fault: float,
) -> Temper:
    return Temper(weights(*message), weights(*stream), weights(*store), weights(*registry), weights(1 - fault, fault))


CALM = _temper((1,), (1,), (1,), (1,), 0.0)
TEMPERS = (
    _temper((90, 6, 3, 1, 0, 0, 1, 1), (97, 2, 1), (85, 10, 5, 3, 1, 1), (95, 3, 2), 0.1),
    _temper((40, 20, 20, 8, 3, 2, 5, 5), (85, 10, 3, 1, 0.3, 0, 0.5, 0.5), (50, 20, 20, 8, 5, 3), (85, 8, 5, 2), 0.05),
    _temper((70, 10, 10, 5, 1, 1, 2, 9), (95, 3, 1, 0.3), (30, 10, 20, 20, 10, 3), (60, 15, 15, 10, 3, 1), 0.03),
    _temper((80, 10, 5, 3, 1, 0, 1, 1), (94, 3, 2, 1, 0.3, 0, 0.1, 0.1), (70, 10, 10, 8, 3, 3), (90, 5, 3, 2), 0.2),
    _temper((95, 3, 1), (97, 2, 1), (95, 3, 2), (60, 10, 10, 15, 5), 0.3),
    _temper((95, 3, 1), (97, 2, 1), (95, 3, 2), (95, 3, 2), 0.3),
    _temper((20, 20, 20, 20, 15, 5, 1, 9), (90, 5, 5), (60, 10, 10, 10, 10), (98, 2), 0.05),
    _temper((97, 2, 1), (97, 2, 1), (40, 5, 10, 10, 20, 15), (98, 2), 0.05),
)


class Process:
    """A process with a clock of its own, which stops, goes on, crashes and starts again.

    Attributes:
        start_count: Counts its starts. What was scheduled for an earlier one does not happen.
        stopped_until: When it goes on.
    """

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        self.start_count = 0
        self.stopped_until = 0.0
        self._rate, self._since, self._shown = 1.0, 0.0, 0.0

    def __repr__(self) -> str:
        return self.name

    @property
    def is_running(self) -> bool:
        return self.stopped_until <= self.network.now

    def clock(self) -> float:
        """Returns what its clock shows."""
        return self._shown + (self.network.now - self._since) * self._rate

    def set_rate(self, rate: float) -> None:
        """Changes the rate of its clock from now on."""
        self._shown, self._since, self._rate = self.clock(), self.network.now, rate

    def until(self, reading: float) -> float:
        """Returns how long it takes until its clock shows this."""
        return (reading - self.clock()) / self._rate

    def check(self) -> None:
        """Checks what a step of this process may have changed."""


class Network:
    """Events in virtual time.

    Attributes:
        now: The time.
        trace: What happened, if it is recorded.
        cuts: Until when two processes cannot reach each other.
        features: How often what happened.
    """

    def __init__(self, choices: Choices, temper: Temper, *, is_traced: bool = False) -> None:
        self.choices, self.temper = choices, temper
        self.now = 0.0
        self.trace: list[str] | None = [] if is_traced else None
        self.cuts: dict[frozenset[str], float] = {}
        self.features: Counter[str] = Counter()
        self._events: list[tuple[float, int, Process | None, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = count()
        self._last: dict[tuple[str, str], float] = {}

    def after(self, delay: float, process: Process | None, call: Callable[..., object], *arguments: Any) -> None:
        """Schedules a step of a process; if it is stopped by then, when it goes on."""
        start = 0 if process is None else process.start_count
        heappush(self._events, (self.now + delay, next(self._count), process, start, call, arguments))

    def run(self, until: float, check: Callable[[], None]) -> None:
        """Runs the events up to a time, each with a check of what its process, or the store, may have changed."""
        events = self._events
        while events and events[0][0] <= until:
            at, number, process, start, call, arguments = heappop(events)
            if process is not None:
                if process.start_count != start:
                    continue
                if process.stopped_until > at:
                    heappush(events, (process.stopped_until, number, process, start, call, arguments))
                    continue
            self.now = at
            if self.trace is not None:
                self.trace.append(f"{at:8.3f} {process or '-'} {call.__name__}{arguments}")
            call(*arguments)
            if process is not None:
                process.check()
            check()
        self.now = until

    def delay(self, options: Weights) -> float:
        """Returns a delay."""
        return DELAYS[self.choices.pick(options)]

    def send(self, sender: str, receiver: Process, call: Callable[..., object], *arguments: Any) -> None:
        """Sends a message that may be late, lost, doubled or reordered."""
        if self.is_cut(sender, receiver.name):
            return
        decision = self.choices.pick(self.temper.message)
        if decision == DOUBLED:
            self.features["message doubled"] += 1
            self.after(DELAYS[0], receiver, call, *arguments)
            decision = self.choices.pick(self.temper.store)
        if decision == LOST:
            self.features["message lost"] += 1
        else:
            self.after(DELAYS[decision], receiver, call, *arguments)

    def stream(self, stream: tuple[str, str], receiver: Process, call: Callable[..., object], *arguments: Any) -> None:
        """Sends a message of an ordered stream, which may be late, lost or doubled."""
        if self.is_cut(*stream):
            return
        decision = self.choices.pick(self.temper.stream)
        if decision == LOST:
            self.features["session message lost"] += 1
            return
        at = self.now + DELAYS[0 if decision == DOUBLED else decision]
        self._last[stream] = at = max(self._last.get(stream, 0.0), at)
        self.after(at - self.now, receiver, call, *arguments)
        if decision == DOUBLED:
            self.features["session message doubled"] += 1
            self.after(at - self.now, receiver, call, *arguments)

    def is_cut(self, one: str, other: str) -> bool:
        """Returns whether two processes cannot reach each other now."""
        return bool(self.cuts) and self.cuts.get(frozenset((one, other)), 0.0) > self.now
