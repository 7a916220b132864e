"""A queue between a caller that cannot wait and a connection that can: bounded in messages, bytes and seconds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

MAX_MESSAGES: Final = 10_000
MAX_BYTES: Final = 64_000_000
MAX_SECONDS: Final = 1.0
"""After this time a client sends a request again, so that the message is dropped."""

Message = TypeVar("Message")


class SendQueue(Generic[Message]):
    """A queue in the running event loop, whose task sends one message after the other. It is paused at first.

    Args:
        send: Sends a message, and waits while the connection accepts none.
    """

    def __init__(self, send: Callable[[Message], Awaitable[None]]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._queued: deque[tuple[float, int, Message]] = deque()
        self._bytes = 0
        self._is_open = asyncio.Event()
        self._is_filled = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._task = asyncio.ensure_future(self._run())

    def put(self, message: Message, size: int) -> None:
        """Adds a message; drops it if the queue is full."""
        if len(self._queued) < MAX_MESSAGES and self._bytes + size <= MAX_BYTES:
            self._queued.append((self._loop.time() + MAX_SECONDS, size, message))
            self._bytes += size
            self._is_filled.set()
            self._is_empty.clear()

    def withdraw(self, is_it: Callable[[Message], bool]) -> bool:
        """Removes a message that is not being sent; returns False if there is none."""
        for entry in self._queued:
            if is_it(entry[2]):
                self._queued.remove(entry)
                self._bytes -= entry[1]
                return True
        return False

    def open(self) -> None:
        """Sends from now on."""
        self._is_open.set()

    def pause(self) -> None:
        """Sends nothing until ``open`` is called."""
        self._is_open.clear()

    async def aclose(self, seconds: float) -> None:
        """Sends what is queued, for some seconds at most, and ends the task."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds if self._is_open.is_set() else 0):
                await self._is_empty.wait()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await self._is_filled.wait()
            await self._is_open.wait()
            while self._queued and self._is_open.is_set():
                end, size, message = self._queued.popleft()
                if self._loop.time() < end:
                    await self._send(message)
                self._bytes -= size
            if not self._queued:
                self._is_filled.clear()
                self._is_empty.set()
