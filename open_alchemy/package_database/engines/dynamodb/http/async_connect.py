"""``happy_eyeballs`` for an event loop.

asyncio's own implementation leaves a socket open if its caller is cancelled.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

from .happy_eyeballs import ATTEMPT_DELAY, Address, new_socket


async def connect(addresses: Sequence[Address], seconds: float) -> socket.socket:
    """Returns a non-blocking socket that is connected to one of the addresses.

    Args:
        addresses: At least one.
        seconds: How long it may take in all.

    Raises:
        TimeoutError: The time is over.
        OSError: No address accepts a connection: the error of the last that failed.
    """
    attempts: list[asyncio.Task[socket.socket]] = []
    try:
        async with asyncio.timeout(seconds):
            for started, address in enumerate(addresses, start=1):
                attempts.append(asyncio.create_task(_attempt(address)))
                connected = await _first(attempts, None if started == len(addresses) else ATTEMPT_DELAY)
                if connected is not None:
                    return connected
        return attempts[-1].result()
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close)


async def _attempt(address: Address) -> socket.socket:
    loop, created = asyncio.get_running_loop(), new_socket(address[0])
    try:
        await loop.sock_connect(created, address[1])
    except BaseException:
        # An interrupted sock_connect leaves the descriptor in the selector. Its next owner would wait for ever: the
        # loop would take it as registered.
        with suppress(NotImplementedError):
            loop.remove_writer(created)
        created.close()
        raise
    return created


async def _first(attempts: list[asyncio.Task[socket.socket]], seconds: float | None) -> socket.socket | None:
    """Returns the first that succeeds, None if all fail or the time is over."""
    end = None if seconds is None else asyncio.get_running_loop().time() + seconds
    pending = {attempt for attempt in attempts if not attempt.done()}
    while pending:
        left = None if end is None else end - asyncio.get_running_loop().time()
        done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return None
        for attempt in done:
            if attempt.exception() is None:
                attempts.remove(attempt)
                return attempt.result()
    return None


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """Closes the socket of an attempt that succeeded too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
