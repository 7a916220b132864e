"""FIFO semaphores with a timeout: one for threads, one for an event loop.

Every acquisition is a ticket. Tickets are kept in order of arrival, and the first ``size`` of them hold a place. A
ticket leaves when it is released, or when nothing references it any more: an exception that a signal handler raises at
any point of a call leaves no counter wrong, and there is no lock that it could leave locked. Each change of the state
is a single operation of a built-in type, which neither a signal nor another thread can interrupt.
"""

from __future__ import annotations

import time
from _thread import LockType, allocate_lock
from collections.abc import Callable
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

    __slots__ = ("_token",)

    def __init__(self, token: _Token) -> None:
        self._token: _Token | None = token

    def leave(self) -> None:
        """Takes the ticket out of the queue."""
        self._token = None


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

    def enter(self, waiter: Waiter) -> Ticket:
        """Returns a new ticket at the end of the queue."""
        token = _Token()
        ticket = Ticket(token)
        self._waiters[ref(token, self._on_death)] = waiter
        return ticket

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

    def acquire(self, seconds: float) -> Ticket:
        """Acquires the semaphore; the ticket must be released.

        Raises:
            TimeoutError: It was not free within so many seconds.
        """
        end = time.monotonic() + seconds
        wakeup = allocate_lock()
        wakeup.acquire()
        ticket = self._queue.enter(wakeup)
        while len(self._queue) > self._queue.size and wakeup not in self._queue.first():
            left = end - time.monotonic()
            if left <= 0:
                self.release(ticket)
                raise TimeoutError
            wakeup.acquire(timeout=min(left, _RECHECK_SECONDS))
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Releases the semaphore and wakes the calls that have become first."""
        ticket.leave()
        if len(self._queue) < self._queue.size:
            return
        for wakeup in self._queue.first():
            if wakeup.locked():
                try:
                    wakeup.release()
                except RuntimeError:
                    # Another thread was faster.
                    continue


class _Turn:
    """A call that waits in an event loop."""

    __slots__ = ("end", "future")

    def __init__(self, future: asyncio.Future[None], end: float) -> None:
        self.future = future
        self.end = end

    def finish(self, error: Exception | None = None) -> None:
        """Resumes the call."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


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

    async def acquire(self, seconds: float) -> Ticket:
        """Acquires the semaphore; the ticket must be released.

        Raises:
            TimeoutError: It was not free within so many seconds.
        """
        if len(self._queue) < self._queue.size:
            return self._queue.enter(None)
        end = self._loop.time() + seconds
        turn = _Turn(self._loop.create_future(), end)
        ticket = self._queue.enter(turn)
        if self._timer is None:
            self._timer = self._loop.call_later(_RECHECK_SECONDS, self._check)
        try:
            await turn.future
            if self._loop.time() > end:
                raise TimeoutError  # noqa: TRY301 (the ticket is released)
        except BaseException:
            self.release(ticket)
            raise
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Releases the semaphore and resumes the call that has become first."""
        ticket.leave()
        if len(self._queue) >= self._queue.size:
            turn = self._queue.last_admitted()
            if turn is not None:
                turn.finish()

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
