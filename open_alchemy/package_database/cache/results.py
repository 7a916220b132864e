"""The results of a cached function, and how long they are valid.

A result is valid as long as each read of the function would return the same (``coherence.dependency_recording``).
"""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable, Hashable
from itertools import count
from typing import Any, Final, NamedTuple

from cachetools import LRUCache
from cachetools.keys import hashkey

from ..coherence.dependency_recording import UNTRACKED, Dependency, report
from ..engines import fork
from ..instances.selection import selected


class CacheInfo(NamedTuple):
    """The figures of a cache: results returned from memory, computed results, and entries."""

    hits: int
    misses: int
    max_entries: int
    entries: int


class Result:
    """A result, what it depends on, and when it expires."""

    __slots__ = ("_dependencies", "_until", "value")

    def __init__(self, value: Any, dependencies: frozenset[Dependency], until: float) -> None:
        self.value = value
        self._dependencies, self._until = dependencies, until

    def is_valid(self, now: float) -> bool:
        """Returns whether a call that began now would have this result, or one that ``ttl`` permits."""
        has_ttl = self._until < math.inf
        return now < self._until and all(
            dependency.is_valid() or (has_ttl and dependency is UNTRACKED) for dependency in self._dependencies
        )

    def use(self) -> Any:
        """Returns the value; the caller's own computation depends on the same reads."""
        report(self._dependencies)
        return self.value


class Results:
    """The results of one function. Safe to use from many threads and after a fork."""

    def __init__(self, max_entries: int, ttl: float | None, clock: Callable[[], float]) -> None:
        self.max_entries, self.clock = max_entries, clock
        self._ttl = math.inf if ttl is None else ttl
        self._results: LRUCache[Hashable, Result] = LRUCache(max_entries)
        self._hits = self._misses = self._clears = 0
        self.computing: dict[Hashable, Any] = {}
        """The computation of each missing result."""
        self.arrivals: Final = count()
        self.after_fork_in_child()
        fork.register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Drops the computations of the parent's threads."""
        self.lock = threading.Lock()
        self.computing.clear()

    def lookup(self, key: Hashable) -> Result | None:
        """Returns a valid result."""
        with self.lock:
            result = self._results.get(key)
        # Outside of the lock: a dependency may lock too.
        if result is not None and result.is_valid(self.clock()):
            self._hits += 1
            return result
        if result is not None:
            with self.lock:
                if self._results.get(key) is result:
                    del self._results[key]
        return None

    def begin(self) -> tuple[int, float]:
        """Begins a computation, whose result is passed to ``finish``."""
        self._misses += 1
        return self._clears, self.clock() + self._ttl

    def finish(self, key: Hashable, begun: tuple[int, float], value: Any, dependencies: set[Dependency]) -> Result:
        """Returns a result, and stores it if it is valid and the results were not cleared since.

        Raises:
            TypeError: Callers cannot share the value.
        """
        _check_value(value)
        clears, until = begun
        result = Result(value, frozenset(dependencies), until)
        if result.is_valid(self.clock()):
            with self.lock:
                if clears == self._clears:
                    self._results[key] = result
        return result

    def clear(self) -> None:
        """Drops all results."""
        with self.lock:
            self._clears += 1
            self._results.clear()
            self.computing.clear()

    def info(self) -> CacheInfo:
        """Returns the figures."""
        with self.lock:
            return CacheInfo(self._hits, self._misses, self.max_entries, len(self._results))


def _check_value(value: object) -> None:
    if inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError(f"the function returned a {type(value).__name__}, which can be used only once")


def key_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    """Returns the key of a call: its arguments, and the instance whose data it reads."""
    key: Hashable = hashkey(selected(), *args, **kwargs)
    return key
