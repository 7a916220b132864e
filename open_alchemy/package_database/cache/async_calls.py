"""Calls of a cached coroutine function: concurrent callers in one event loop share a computation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from ..coherence.dependency_recording import record
from .results import Result, Results, key_of

_within: Final[ContextVar[frozenset[int]]] = ContextVar("package_database_computations", default=frozenset())
"""The computations that the current context is part of: they must not wait for themselves."""


class _Computation:
    """A task that computes a result for any number of callers; it is cancelled when all of them are."""

    def __init__(self, started: int, steps: Coroutine[Any, Any, Result]) -> None:
        self.started = started
        self._callers = 0
        within = _within.set(_within.get() | {id(self)})
        try:
            self.task = asyncio.get_running_loop().create_task(steps)
        finally:
            _within.reset(within)
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def is_abandoned(self) -> bool:
        """Whether all of its callers were cancelled."""
        return self.task.cancelling() > 0

    async def result(self) -> Result:
        self._callers += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._callers -= 1
            if not self._callers:
                self.task.cancel()


class AsyncCalls:
    """The calls of one coroutine function."""

    def __init__(self, function: Callable[..., Coroutine[Any, Any, Any]], results: Results) -> None:
        self._function, self._results = function, results

    def wrapper(self) -> Callable[..., Any]:
        """Returns the function with the cache."""

        async def call(*args: Any, **kwargs: Any) -> Any:
            return (await self._result(key_of(args, kwargs), args, kwargs)).use()

        return call

    async def _result(self, key: Hashable, args: Any, kwargs: Any) -> Result:
        results, arrival = self._results, next(self._results.arrivals)
        place = (asyncio.get_running_loop(), key)
        while True:
            if (found := results.lookup(key)) is not None:
                return found
            computation: _Computation | None = results.computing.get(place)
            if computation is not None and id(computation) in _within.get():
                return await self._compute(key, args, kwargs)
            if computation is None or computation.is_abandoned:
                steps = self._compute(key, args, kwargs)
                computation = results.computing[place] = _Computation(next(results.arrivals), steps)
                computation.task.add_done_callback(partial(self._remove, place, computation))
            result = await computation.result()
            if computation.started > arrival or result.is_valid(results.clock()):
                return result

    def _remove(self, place: Hashable, computation: _Computation, _: object) -> None:
        if self._results.computing.get(place) is computation:
            del self._results.computing[place]

    async def _compute(self, key: Hashable, args: Any, kwargs: Any) -> Result:
        begun = self._results.begin()
        with record() as dependencies:
            value = await self._function(*args, **kwargs)
        return self._results.finish(key, begun, value, dependencies)
