"""Room for so many at once in one loop; who comes later waits in turn, for some time.

What ``asyncio.Semaphore`` and ``asyncio.timeout`` do together, at a fraction of their cost: with more calls than
connections, every call waits here.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """Room in one loop.

    Args:
        loop: The loop.
        places: How many may be in it at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, places: int) -> None:
        self._loop = loop
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, seconds: float) -> None:
        """Takes a place.

        Raises:
            TimeoutError: None was free within so many seconds.
        """
        if self._free:
            self._free -= 1
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        alarm = self._loop.call_later(seconds, _give_up, turn)
        try:
            await turn
        except asyncio.CancelledError:
            # The place may have been given to it in the same turn of the loop.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()
            raise
        finally:
            alarm.cancel()

    def leave(self) -> None:
        """Gives the place to who has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
