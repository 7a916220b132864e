"""A dictionary whose entries expire."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import TTLCache

from ..engines.fork import ForkSafeLock
from .limits import check_max_entries, check_seconds

Key = TypeVar("Key")
Value = TypeVar("Value")


class ExpiringDict(MutableMapping[Key, Value]):
    """A dictionary whose entries expire some seconds after they were set. Safe to use from many threads.

    Args:
        seconds: How long an entry exists after it was set.
        max_entries: The maximum number of entries: the least recently used are dropped. None for any number.
        clock: Returns the seconds of a monotonic clock.

    Raises:
        ValueError: ``seconds`` or ``max_entries`` is not above 0.
    """

    def __init__(
        self, seconds: float, max_entries: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        check_seconds("seconds", seconds)
        if max_entries is not None:
            check_max_entries(max_entries)
        self._entries: TTLCache[Key, Value] = TTLCache(math.inf if max_entries is None else max_entries, seconds, clock)
        self._lock = ForkSafeLock()

    def __repr__(self) -> str:
        return f"<ExpiringDict: {len(self)} entries>"

    def __getitem__(self, key: Key) -> Value:
        with self._lock.lock:
            return self._entries[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        with self._lock.lock:
            self._entries[key] = value

    def __delitem__(self, key: Key) -> None:
        with self._lock.lock:
            del self._entries[key]

    def __iter__(self) -> Iterator[Key]:
        with self._lock.lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        with self._lock.lock:
            return len(self._entries)

    # The methods of ``MutableMapping`` release the lock between their steps.

    def items(self) -> ItemsView[Key, Value]:
        """Returns a copy of the items: none of them expires while it is iterated over."""
        return self._copy().items()

    def values(self) -> ValuesView[Value]:
        """Returns a copy of the values."""
        return self._copy().values()

    if not TYPE_CHECKING:  # ``MutableMapping`` declares the types of these.

        def setdefault(self, key: Key, default: Any = None) -> Any:
            """Returns the value of a key; sets it first if the key is missing."""
            with self._lock.lock:
                return super().setdefault(key, default)

        def pop(self, key: Key, *default: Any) -> Any:
            """Removes a key and returns its value; the default or ``KeyError`` if the key is missing."""
            with self._lock.lock:
                return super().pop(key, *default)

    def popitem(self) -> tuple[Key, Value]:
        """Removes and returns an item; ``KeyError`` if there is none."""
        with self._lock.lock:
            return super().popitem()

    def clear(self) -> None:
        """Removes all entries."""
        with self._lock.lock:
            self._entries.clear()

    def _copy(self) -> dict[Key, Value]:
        # The clock of the entries stops within its context.
        with self._lock.lock, self._entries.timer:
            return dict(self._entries)
