"""Runs generators: sends each result back until the generator returns.

``execute_steps`` turns the steps of an access pattern into operations for an engine. ``drive`` and ``drive_async`` are
the only loops that perform I/O; everything else is in generators, written once for both APIs. psycopg 3 is built this
way.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, TypeVar

from ..exceptions import ConflictError
from .backoff import contention_backoff
from .deadline import Deadline
from .operations import Backoff, Operation, Stamp, Stamped, Steps, StoreOperation, Transact

Result = TypeVar("Result")


class Sleep(NamedTuple):
    """Waits. Result: None."""

    seconds: float


class Sources(NamedTuple):
    """The sources of time and randomness.

    Attributes:
        seconds: Returns the seconds since the epoch.
        monotonic: Returns the seconds of a monotonic clock, for deadlines.
        sleep: Waits for a number of seconds; for the sync API.
        revision: Returns a unique text of at most 36 characters, for a revision or the token of a transaction.
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
    """Answers ``Stamp`` and ``Backoff``, adds tokens, and yields what an engine or the loop must execute.

    Args:
        steps: The steps, at their first operation.
        first: That operation.
        name: The name of the steps in error messages.
        deadline: The deadline of the call.
        sources: The sources of time and randomness.

    Raises:
        ConflictError: The steps lost against other writers until the deadline.
    """
    operation = first
    while True:
        result: Any = None
        match operation:
            case Stamp():
                # A clock before 1970 counts as 1970: the keys have no place for a sign.
                result = Stamped(max(0, int(sources.seconds())), sources.revision())
            case Backoff(attempt):
                yield _backoff(attempt, name, deadline, sources.random)
            case _:
                if deadline.is_contended and not deadline.allows():
                    raise _conflict(name, deadline)
                if isinstance(operation, Transact):
                    result = yield operation._replace(token=sources.revision())
                    if result:
                        deadline.conflict()
                    else:
                        deadline.commit()
                else:
                    result = yield operation
        try:
            operation = steps.send(result)
        except StopIteration as stop:
            returned: Result = stop.value
            return returned


def _backoff(attempt: int, name: str, deadline: Deadline, random: Callable[[], float]) -> Sleep:
    deadline.conflict(is_first=attempt == 0)
    # The last attempt starts when there is just enough time for it.
    delay = min(contention_backoff(attempt, random), deadline.longest_backoff())
    if not deadline.allows_retry(delay):
        raise _conflict(name, deadline)
    return Sleep(delay)


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
    result: Any = None
    while True:
        try:
            request = steps.send(result)
        except StopIteration as stop:
            returned: Result = stop.value
            return returned
        if isinstance(request, Sleep):
            # Not at the top: the sync API does not load asyncio.
            import asyncio

            await asyncio.sleep(request.seconds)
            result = None
        else:
            result = await perform(request)


def _conflict(name: str, deadline: Deadline) -> ConflictError:
    return ConflictError(f"{name} lost against other writers for {deadline.elapsed():.1f} s")
