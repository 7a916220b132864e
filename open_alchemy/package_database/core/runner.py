"""Runs generators that say what they want done: sends each thing's result back, until they return.

Written once to block and once to await; whatever is worth testing is in the generators. psycopg 3 is built this way.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from ..record import record

Result = TypeVar("Result")


@record
class Sleep:
    """Wait. Result: None."""

    seconds: float


def drive(steps: Generator[Any, Any, Result], perform: Callable[[Any], Any]) -> Result:
    """Runs a generator to its end, sending it what ``perform`` makes of each thing that it yields but ``Sleep``."""
    result: Any = None
    while True:
        try:
            request = steps.send(result)
        except StopIteration as stop:
            returned: Result = stop.value
            return returned
        if isinstance(request, Sleep):
            time.sleep(request.seconds)
            result = None
        else:
            result = perform(request)


async def drive_async(steps: Generator[Any, Any, Result], perform: Callable[[Any], Awaitable[Any]]) -> Result:
    """Runs a generator to its end in the running loop, which goes on with other work while this waits."""
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
