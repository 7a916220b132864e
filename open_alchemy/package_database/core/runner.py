"""Runs generators: sends each result back until the generator returns.

``execute_steps`` turns the steps of an access pattern into operations for an engine. ``drive`` and ``drive_async`` are
the only loops that perform I/O; everything else is in generators, written once for both APIs. psycopg 3 is built this
way.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, NamedTuple, TypeVar

from ..exceptions import ConflictError
from .backoff import full_jitter
from .deadline import Deadline
from .operations import Backoff, Operation, Stamp, Stamped, Steps, StoreOperation, Transact

_FIRST_BACKOFF: Final = 0.05
_LONGEST_BACKOFF: Final = 2.0

Result = TypeVar("Result")


class Sleep(NamedTuple):
    """Wait. Result: None."""

    seconds: float


class Sources(NamedTuple):
    """Where calls get time and randomness.

    Attributes:
        seconds: Returns the seconds since the epoch.
        monotonic: Returns the seconds of a monotonic clock, for deadlines.
        sleep: Waits for a number of seconds; for the sync API.
        revision: Returns a text that no other write has.
        random: Returns a random number from 0 to 1.
    """

    seconds: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    revision: Callable[[], str]
    random: Callable[[], float]


def execute_steps(
    steps: Steps[Result], first: Operation, name: str, deadline: Deadline, sources: Sources
) -> Generator[StoreOperation | Sleep, Any, Result]:
    """Answers ``Stamp`` and ``Backoff``, and yields what an engine or the loop must execute.

    Args:
        steps: The steps, at their first operation.
        first: That operation.
        name: What error messages call the steps.
        deadline: The deadline of the call.
        sources: Where time and randomness come from.

    Raises:
        ConflictError: The steps lost against other writers until the deadline.
    """
    operation = first
    while True:
        result: Any = None
        match operation:
            case Stamp():
                result = Stamped(int(sources.seconds()), sources.revision())
            case Backoff(attempt):
                deadline.contended(anew=attempt == 0)
                # The last attempt starts when there is just enough time for it.
                delay = min(full_jitter(_FIRST_BACKOFF, attempt, _LONGEST_BACKOFF, sources.random), deadline.spare())
                if not deadline.allows_race(delay):
                    raise _conflict(name, deadline)
                yield Sleep(delay)
            case _:
                if deadline.is_contended and not deadline.allows():
                    raise _conflict(name, deadline)
                result = yield operation
                if isinstance(operation, Transact):
                    if result:
                        deadline.contended()
                    else:
                        deadline.settled()
        try:
            operation = steps.send(result)
        except StopIteration as stop:
            returned: Result = stop.value
            return returned


def drive(
    steps: Generator[Any, Any, Result],
    perform: Callable[[Any], Any],
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Runs a generator to its end. ``perform`` executes everything that it yields except ``Sleep``."""
    result: Any = None
    while True:
        try:
            request = steps.send(result)
        except StopIteration as stop:
            returned: Result = stop.value
            return returned
        if isinstance(request, Sleep):
            sleep(request.seconds)
            result = None
        else:
            result = perform(request)


async def drive_async(steps: Generator[Any, Any, Result], perform: Callable[[Any], Awaitable[Any]]) -> Result:
    """Runs a generator to its end in the running loop, without blocking it."""
    import asyncio

    result: Any = None
    while True:
        try:
            request = steps.send(result)
        except StopIteration as stop:
            returned: Result = stop.value
            return returned
        if isinstance(request, Sleep):
            await asyncio.sleep(request.seconds)
            result = None
        else:
            result = await perform(request)


def _conflict(name: str, deadline: Deadline) -> ConflictError:
    return ConflictError(f"{name} lost against other writers for {deadline.elapsed():.1f} s")
