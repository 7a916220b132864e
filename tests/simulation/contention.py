"""Runs calls concurrently in virtual time, on a store whose every request takes a fixed time."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeAlias

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Steps, StoreOperation, Transact
from open_alchemy.package_database.core.runner import Sleep, drive, execute_steps
from open_alchemy.package_database.database import SYSTEM
from open_alchemy.package_database.exceptions import BaseError
from open_alchemy.package_database.model.access_pattern import AccessPattern
from open_alchemy.package_database.testing.memory import MemoryStore

ClientCall: TypeAlias = tuple[AccessPattern[..., Any], dict[str, Any]]
Work: TypeAlias = Generator[float, None, None]
"""Yields the seconds until it continues."""


@dataclass
class Measured:
    """A finished call.

    Attributes:
        name: The function.
        seconds: How long it took.
        transactions: How many transactions it attempted.
        error: What it raised.
    """

    name: str
    seconds: float
    transactions: int
    error: BaseError | None


@dataclass
class Simulation:
    """A store and its clients, in virtual time.

    Args:
        latency: The seconds of a request; it is executed after half of them.
        seed: The seed of the randomness.
        deadline: The deadline of a call in seconds.
    """

    latency: float
    seed: int = 0
    deadline: float = 5.0
    store: MemoryStore = field(default_factory=MemoryStore)
    now: float = 0.0
    calls: list[Measured] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (reproducible)
        self._unique = map(str, count())

    def run(self, *clients: Iterator[ClientCall]) -> None:
        """Runs clients, each of which makes its calls one after the other, until all are done."""
        order = count()
        queue: list[tuple[float, int, Work]] = []
        for client in clients:
            heappush(queue, (self.now, next(order), self._client(client)))
        while queue:
            self.now, _, work = heappop(queue)
            for seconds in work:
                heappush(queue, (self.now + seconds, next(order), work))
                break

    def _client(self, calls: Iterator[ClientCall]) -> Work:
        for pattern, arguments in calls:
            yield from self._call(pattern, arguments)

    def _call(self, pattern: AccessPattern[..., Any], arguments: dict[str, Any]) -> Work:
        sources = SYSTEM._replace(
            seconds=lambda: self.now, revision=lambda: next(self._unique), random=self._random.random
        )
        deadline = Deadline(self.deadline, renewable=pattern.unbounded, clock=lambda: self.now)
        steps: Steps[Any] = pattern.steps(**arguments)
        start, transactions = self.now, 0
        running = execute_steps(steps, next(steps), pattern.name, deadline, sources)
        result: Any = None
        error: BaseError | None = None
        try:
            while True:
                step = running.send(result)
                if isinstance(step, Sleep):
                    yield step.seconds
                    result = None
                else:
                    transactions += isinstance(step, Transact)
                    result = yield from self._request(step)
        except StopIteration:
            pass
        except BaseError as raised:
            error = raised
        self.calls.append(Measured(pattern.name, self.now - start, transactions, error))

    def _request(self, operation: StoreOperation) -> Generator[float, None, Any]:
        yield self.latency / 2
        result = drive(self.store.steps(operation), lambda _: None)
        yield self.latency / 2
        return result
