"""FIFO semaphores with a timeout: one for threads, one for an event loop.

Every acquisition is a ticket. Tickets are kept in order of arrival, and the first ``size`` of them hold a place. A
ticket leaves when it is released, or when nothing references it any more. So an exception that a signal handler raises
at any point of a call leaves no counter wrong, and there is no lock that it could leave locked: each change of the
state is a single operation of a built-in type, which neither a signal nor another thread can interrupt.

    ticket = Ticket()
    try:
        try:
            semaphore.acquire(ticket, seconds)
            ...
        finally:
            semaphore.release(ticket)
    finally:
        semaphore.release(ticket)  # in case that the other was interrupted
"""

from __future__ import annotations

import time
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from weakref import ref

if TYPE_CHECKING:
    import asyncio

Waiter = TypeVar("Waiter")

_RECHECK_SECONDS: Final = 0.1
"""How often a waiting call looks for itself: an interrupted call wakes no other."""
_EXPIRE_AT_ONCE: Final = 20
"""Waiting calls that fail in one iteration of an event loop. Each takes about 0.1 ms of its time."""


class _Token:
    """Exists as long as its ticket is in the queue."""

    __slots__ = ("__weakref__",)


class Ticket:
    """One acquisition of a semaphore."""

    __slots__ = ("is_released", "token")

    def __init__(self) -> None:
        self.token: _Token | None = None
        self.is_released = False


class _Queue(Generic[Waiter]):
    """Tickets in order of arrival, each with what its call waits for.

    Args:
        size: How many tickets hold a place.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._waiters: dict[ref[_Token], Waiter] = {}
        # The callback is a method of dict: no Python code runs that could be interrupted.
        self._on_death: Callable[[ref[_Token]], object] = self._waiters.__delitem__

    def __len__(self) -> int:
        return len(self._waiters)

    def enter(self, ticket: Ticket, waiter: Waiter) -> None:
        """Adds a ticket to the end of the queue."""
        # Not in a local variable, which the traceback of an interruption would keep.
        ticket.token = _Token()
        self._waiters[ref(ticket.token, self._on_death)] = waiter

    def first(self) -> list[Waiter]:
        """Returns the waiters of the tickets that hold a place."""
        return list(islice(self._waiters.values(), self.size))

    def last_admitted(self) -> Waiter | None:
        """Returns the waiter of the last ticket that holds a place, None if a place is free."""
        return next(islice(self._waiters.values(), self.size - 1, self.size), None) if self.size else None

    def waiting(self) -> list[Waiter]:
        """Returns the waiters of the tickets that hold no place."""
        return list(islice(self._waiters.values(), self.size, None))


class ThreadSemaphore:
    """Semaphore for threads.

    Args:
        size: How many calls may hold it at once.
    """

    def __init__(self, size: int) -> None:
        self._queue: _Queue[LockType] = _Queue(size)

    def acquire(self, ticket: Ticket, seconds: float) -> None:
        """Acquires the semaphore. The ticket must be released, also if this fails.

        Raises:
            TimeoutError: It was not free within so many seconds.
        """
        end = time.monotonic() + seconds
        wakeup = allocate_lock()
        wakeup.acquire()
        self._queue.enter(ticket, wakeup)
        while len(self._queue) > self._queue.size and wakeup not in self._queue.first():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            wakeup.acquire(timeout=min(left, _RECHECK_SECONDS))

    def release(self, ticket: Ticket) -> None:
        """Releases the semaphore and wakes the calls that have become first. Has no effect the second time."""
        if ticket.is_released:
            return
        ticket.token = None
        if len(self._queue) >= self._queue.size:
            for wakeup in self._queue.first():
                _wake(wakeup)
        ticket.is_released = True


def _wake(wakeup: LockType) -> None:
    if wakeup.locked():
        # Another thread may be faster.
        with suppress(RuntimeError):
            wakeup.release()


class _Turn:
    """A call that waits in an event loop."""

    __slots__ = ("end", "future")

    def __init__(self, future: asyncio.Future[None], end: float) -> None:
        self.future = future
        self.end = end

    def finish(self, error: Exception | None = None) -> None:
        """Resumes the call."""
        _resume(self.future, error)


class LoopSemaphore:
    """Semaphore for the calls of one event loop.

    Calls share one timer, and those whose time is over fail a few at a time, so that the loop goes on in between.

    Args:
        loop: The event loop.
        size: How many calls may hold it at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self._loop = loop
        self._queue: _Queue[_Turn | None] = _Queue(size)
        self._timer: asyncio.Handle | None = None

    @property
    def free(self) -> int:
        """How many calls can acquire it at once; negative if calls wait for it."""
        return self._queue.size - len(self._queue)

    def try_acquire(self, ticket: Ticket) -> bool:
        """Acquires the semaphore if it is free, and returns whether it was. The ticket must be released."""
        if len(self._queue) >= self._queue.size:
            return False
        self._queue.enter(ticket, None)
        return True

    async def acquire(self, ticket: Ticket, seconds: float) -> None:
        """Acquires the semaphore. The ticket must be released, also if this fails.

        Raises:
            TimeoutError: It was not free within so many seconds.
        """
        if self.try_acquire(ticket):
            return
        end = self._loop.time() + seconds
        turn = _Turn(self._loop.create_future(), end)
        self._queue.enter(ticket, turn)
        if self._timer is None:
            self._timer = self._loop.call_later(_RECHECK_SECONDS, self._check)
        await turn.future
        if self._loop.time() > end:
            raise TimeoutError

    def release(self, ticket: Ticket) -> None:
        """Releases the semaphore and resumes the call that has become first. Has no effect the second time."""
        if ticket.is_released:
            return
        ticket.token = None
        if len(self._queue) >= self._queue.size:
            turn = self._queue.last_admitted()
            if turn is not None:
                turn.finish()
        ticket.is_released = True

    def _check(self) -> None:
        """Resumes the calls that hold a place, and fails those whose time is over."""
        for turn in self._queue.first():
            if turn is not None:
                turn.finish()
        now = self._loop.time()
        self._expire([turn for turn in self._queue.waiting() if turn is not None and turn.end <= now])

    def _expire(self, turns: list[_Turn]) -> None:
        for turn in turns[:_EXPIRE_AT_ONCE]:
            turn.finish(TimeoutError())
        if len(turns) > _EXPIRE_AT_ONCE:
            self._timer = self._loop.call_soon(self._expire, turns[_EXPIRE_AT_ONCE:])
        elif len(self._queue) > self._queue.size:
            self._timer = self._loop.call_later(_RECHECK_SECONDS, self._check)
        else:
            self._timer = None


class AdmissionQueue:
    """Calls of one event loop that wait, in order of arrival, before they allocate anything else.

    Ten thousand calls may wait: each costs a future and its place in the queue.

    Args:
        semaphore: A call is admitted when the semaphore is free.
        seconds: How long a call waits at most; the same for all, so that the first in the queue is the first to fail.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, semaphore: LoopSemaphore, seconds: float) -> None:
        self._loop = loop
        self._semaphore = semaphore
        self._seconds = seconds
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.Handle | None = None

    def enter(self) -> asyncio.Future[None] | None:
        """Returns None if a call is admitted, otherwise a future; it raises ``TimeoutError`` when the time is over."""
        if not self._waiting and self._semaphore.free > 0:
            return None
        waiter = self._loop.create_future()
        self._waiting.append((waiter, self._loop.time() + self._seconds))
        if self._timer is None:
            self._timer = self._loop.call_later(_RECHECK_SECONDS, self._check)
        return waiter

    def admit(self) -> None:
        """Admits a call if the semaphore is free."""
        if self._waiting and self._semaphore.free > 0:
            self._admit(1)

    def close(self) -> None:
        """Admits all calls."""
        self._admit(len(self._waiting))

    def _admit(self, count: int) -> None:
        while count > 0 and self._waiting:
            count -= _resume(self._waiting.popleft()[0], None)

    def _check(self) -> None:
        """Fails the calls whose time is over, and admits others: an interrupted call admits none."""
        expired, now = 0, self._loop.time()
        while expired < _EXPIRE_AT_ONCE and self._waiting and self._waiting[0][1] <= now:
            expired += _resume(self._waiting.popleft()[0], TimeoutError())
        self._admit(self._semaphore.free)
        if expired == _EXPIRE_AT_ONCE:
            self._timer = self._loop.call_soon(self._check)
        else:
            self._timer = self._loop.call_later(_RECHECK_SECONDS, self._check) if self._waiting else None


def _resume(waiter: asyncio.Future[None], error: Exception | None) -> bool:
    """Resumes a call; returns False if it was cancelled."""
    if waiter.done():
        return False
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
    return True
