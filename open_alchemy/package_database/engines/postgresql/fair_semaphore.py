"""A semaphore that serves threads in order of arrival: with that of ``threading``, a busy thread starves others."""

from __future__ import annotations

import threading
from collections import deque


class FairSemaphore:
    """A number of permits.

    Args:
        permits: How many threads may have one at once.
    """

    def __init__(self, permits: int) -> None:
        self._permits = permits
        self._lock = threading.Lock()
        self._waiters: deque[threading.Lock] = deque()

    def acquire(self, timeout: float) -> bool:
        """Waits for a permit, and returns whether there was one within ``timeout`` seconds."""
        with self._lock:
            if self._permits > 0:
                self._permits -= 1
                return True
            waiter = threading.Lock()
            waiter.acquire()
            self._waiters.append(waiter)
        is_acquired = False
        try:
            is_acquired = waiter.acquire(timeout=timeout)
        finally:
            if not is_acquired:
                is_acquired = self._withdraw(waiter)
        return is_acquired

    def release(self) -> None:
        """Passes the permit to the thread that has waited longest."""
        with self._lock:
            if self._waiters:
                self._waiters.popleft().release()
            else:
                self._permits += 1

    def _withdraw(self, waiter: threading.Lock) -> bool:
        """Ends a wait, and returns whether it got a permit in the meantime."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                return False
        return True
