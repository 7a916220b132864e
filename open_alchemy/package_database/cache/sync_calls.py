"""Calls of a cached function: concurrent callers in the threads of the process share a computation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Any, Final

from ..coherence.dependency_recording import record
from .results import Result, Results, key_of

_within: Final[ContextVar[frozenset[int]]] = ContextVar("package_database_sync_computations", default=frozenset())
"""The computations that the current context is part of: they must not wait for themselves."""


class _Computation:
    """A result that one thread computes and others wait for."""

    def __init__(self, started: int) -> None:
        self.started = started
        self.done = threading.Event()
        self.result: Result | None = None
        self.error: Exception | None = None


class SyncCalls:
    """The calls of one function."""

    def __init__(self, function: Callable[..., Any], results: Results) -> None:
        self._function, self._results = function, results

    def wrapper(self) -> Callable[..., Any]:
        """Returns the function with the cache."""

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._result(key_of(args, kwargs), args, kwargs).use()

        return call

    def _result(self, key: Hashable, args: Any, kwargs: Any) -> Result:
        results, arrival = self._results, next(self._results.arrivals)
        while True:
            if (found := results.lookup(key)) is not None:
                return found
            mine = _Computation(next(results.arrivals))
            with results.lock:
                other: _Computation = results.computing.setdefault(key, mine)
            if other is mine:
                return self._lead(mine, key, args, kwargs)
            if id(other) in _within.get():
                return self._compute(key, args, kwargs)
            other.done.wait()
            if other.error is not None:
                raise other.error
            result = other.result
            if result is not None and (other.started > arrival or result.is_valid(results.clock())):
                return result

    def _lead(self, computation: _Computation, key: Hashable, args: Any, kwargs: Any) -> Result:
        within = _within.set(_within.get() | {id(computation)})
        try:
            computation.result = self._compute(key, args, kwargs)
        except Exception as error:
            computation.error = error
            raise
        finally:
            # After KeyboardInterrupt there is neither: the others compute it themselves.
            _within.reset(within)
            with self._results.lock:
                if self._results.computing.get(key) is computation:
                    del self._results.computing[key]
            computation.done.set()
        return computation.result

    def _compute(self, key: Hashable, args: Any, kwargs: Any) -> Result:
        begun = self._results.begin()
        with record() as dependencies:
            value = self._function(*args, **kwargs)
        return self._results.finish(key, begun, value, dependencies)
