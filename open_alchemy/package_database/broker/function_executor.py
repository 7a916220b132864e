"""Executes calls of exposed functions in the broker."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ..core.deadline import Deadline
from ..engines.broker import messages
from ..engines.broker.client_protocol import wall_clock
from ..exceptions import ConfigurationError
from ..instances.instance import Instance
from ..instances.selection import Selection
from . import exposed
from .daemon_threads import Threads
from .error_responses import OwnRefusalError, OwnUnavailableError
from .exposed import Function
from .served_store import check_age

_THREADS: Final = 64


class StoppedError(Exception):
    """A function raised what would end a process or a task."""


class Functions:
    """The functions that clients may call.

    Args:
        functions: The functions by their names.
        instances: What the database of the process is in a call, by the name of the request's instance.
        threads: How many plain functions run at once.
        clock: Returns the seconds since the epoch.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        instances: Mapping[str, Instance],
        *,
        threads: int = _THREADS,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        self._functions = functions
        self._instances = instances
        self._threads = Threads(threads)
        self._clock = clock

    async def call(self, request: messages.Request, deadline: Deadline) -> messages.AnswerBody:
        """Calls a function, and returns its result.

        Raises:
            ValidationError: An argument does not match its annotation.
            RefusedError: The function is not exposed, the call is too old, or the result does not match its annotation.
            UnavailableError: The function did not end before the deadline.
            Exception: Whatever the function raises.
        """
        body = request.body
        assert isinstance(body, messages.Call)
        function = self._functions.get(body.function)
        if function is None:
            raise OwnRefusalError("the broker does not expose the function: start it with --expose", code="NotExposed")
        check_age(request, self._clock())
        arguments = function.signature.decode_arguments(body.arguments)
        with Selection(self._instances[request.instance]):
            # The task has a copy of the context.
            task = asyncio.ensure_future(self._run(function, arguments))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([task], timeout=max(0.0, deadline.remaining()))
        if not task.done():
            task.cancel()
            raise _exceeded(function, deadline)
        if task.cancelled():
            raise StoppedError("CancelledError")
        return messages.Returned(task.result())

    async def _run(self, function: Function, arguments: dict[str, Any]) -> Any:
        try:
            if function.is_coroutine:
                result = await function.call(**arguments)
            else:
                result = await self._threads.run(lambda: function.call(**arguments))
        except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
            # They would end the broker.
            raise StoppedError(type(error).__name__) from None
        return function.signature.encode_result(result)


def load(modules: Iterable[str]) -> dict[str, Function]:
    """Imports modules, and returns their exposed functions by their names.

    Raises:
        ConfigurationError: A module cannot be imported, or exposes no function.
    """
    found: dict[str, Function] = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise ConfigurationError(
                f"cannot import {module!r} of --expose: {type(error).__name__}: {error}"
            ) from error
        functions = {name: function for name, function in exposed.registry.items() if function.module == module}
        if not functions:
            raise ConfigurationError(f"{module!r} of --expose has no function with the decorator exposed")
        found |= functions
    return found


def _exceeded(function: Function, deadline: Deadline) -> OwnUnavailableError:
    seconds = deadline.elapsed()
    message = f"{function.what} did not end before the deadline ({seconds:.1f} s); it may have taken effect"
    return OwnUnavailableError(message, code="DeadlineExceeded", seconds=seconds)
