"""A dictionary whose entries expire."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from typing import TypeVar

from cachetools import TTLCache

Key = TypeVar("Key")
Value = TypeVar("Value")


class ExpiringDict(MutableMapping[Key, Value]):
    """A dictionary whose entries expire some seconds after they were set. Safe to use from many threads.

    Args:
        seconds: How long an entry exists after it was set.
        max_entries: The maximum number of entries: the least recently used are dropped. None for any number.
        clock: Returns the seconds of a monotonic clock.
    """

    def __init__(
        self, seconds: float, max_entries: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._entries: TTLCache[Key, Value] = TTLCache(math.inf if max_entries is None else max_entries, seconds, clock)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<ExpiringDict: {len(self)} entries>"

    def __getitem__(self, key: Key) -> Value:
        with self._lock:
            return self._entries[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        with self._lock:
            self._entries[key] = value

    def __delitem__(self, key: Key) -> None:
        with self._lock:
            del self._entries[key]

    def __iter__(self) -> Iterator[Key]:
        with self._lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)
