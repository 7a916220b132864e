"""Decides whether an idle connection may be used again."""

from __future__ import annotations

import select
import time
from typing import Final

IDLE_SECONDS: Final = 60.0
"""Idle timeout in seconds: a load balancer or NAT may drop the state of an older connection without closing it."""


class IdleCheck:
    """Watches one connection.

    Args:
        fileno: The file descriptor of its socket.
    """

    __slots__ = ("_fileno", "_poll", "_since")

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self._since = 0.0
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(fileno, select.POLLIN)

    def start(self) -> None:
        """Records that the connection is idle from now on."""
        self._since = time.monotonic()

    def is_usable(self) -> bool:
        """Returns whether the idle timeout is not over and nothing was received.

        What was received is the end of the stream, or bytes that would be read as the next response.
        """
        if time.monotonic() - self._since > IDLE_SECONDS:
            return False
        if self._poll is not None:
            return not self._poll.poll(0)
        return not select.select([self._fileno], [], [], 0)[0]  # pragma: no cover (Windows)
