"""``cached``: remembers the results of a function until anything that it read through the database changes.

A caller that waits for the computation of another one accepts its result only if that is still valid, or if the
computation began after the call. Otherwise it might return what was true before a write that the caller has seen.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from .async_calls import AsyncCalls
from .limits import check_max_entries, check_seconds
from .results import CacheInfo, Results
from .sync_calls import SyncCalls

Parameters = ParamSpec("Parameters")
Rest = ParamSpec("Rest")
Object = TypeVar("Object")
Returned_co = TypeVar("Returned_co", covariant=True)
Returned = TypeVar("Returned")


class CachedFunction(Protocol[Parameters, Returned_co]):
    """A function with a cache."""

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned_co:
        """Calls the function, or returns the result of an earlier call."""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(
        self: CachedFunction[Concatenate[Object, Rest], Returned_co], instance: Object, owner: type
    ) -> CachedFunction[Rest, Returned_co]: ...

    def __get__(self, instance: object, owner: type) -> Any:
        """Binds a method."""

    def cache_info(self) -> CacheInfo:
        """Returns the figures of the cache."""

    def cache_clear(self) -> None:
        """Drops all results, and those that are being computed."""


def cached(
    *, max_entries: int = 1000, ttl: float | None = None, clock: Callable[[], float] = time.monotonic
) -> Callable[[Callable[Parameters, Returned]], CachedFunction[Parameters, Returned]]:
    """Remembers the last result of a function or coroutine function for each set of arguments.

    A result is dropped as soon as anything that the function read through the database changes, in nested calls too.
    That requires a broker and its cache (``broker://...?cache=...``). A result for which the function read a database
    without one is remembered only with ``ttl``. Concurrent callers of a missing result share one computation.
    Exceptions are not remembered. The arguments must be hashable; callers share the returned object.

    Args:
        max_entries: The maximum number of results: the least recently used are dropped.
        ttl: After how many seconds a result is dropped in any case; None for never.
        clock: Returns the seconds of a monotonic clock.

    Raises:
        ValueError: ``max_entries`` or ``ttl`` is not above 0.
        TypeError: What is decorated is no function, or a generator.
    """
    check_max_entries(max_entries)
    if ttl is not None:
        check_seconds("ttl", ttl)

    def decorate(function: Callable[Parameters, Returned]) -> CachedFunction[Parameters, Returned]:
        if isinstance(function, classmethod | staticmethod):
            raise TypeError("@cached(...) must be below @classmethod and @staticmethod")
        if not callable(function):
            raise TypeError("what is cached must be a function")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator has no result that could be cached")
        results = Results(max_entries, ttl, clock)
        if inspect.iscoroutinefunction(function):
            call = AsyncCalls(function, results).wrapper()
        else:
            call = SyncCalls(function, results).wrapper()
        wrapper: Any = update_wrapper(call, function)
        wrapper.cache_info, wrapper.cache_clear = results.info, results.clear
        typed: CachedFunction[Parameters, Returned] = wrapper
        return typed

    return decorate
