"""Whether a connection that was idle may be used again."""

from __future__ import annotations

import select
import time
from typing import Final

IDLE_SECONDS: Final = 60.0
"""Seconds after which an idle connection is not trusted: what lies between may have forgotten it without a word."""


class Freshness:
    """Watches one connection.

    Args:
        fileno: The descriptor of its socket.
    """

    __slots__ = ("_fileno", "_poll", "_since")

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self._since = 0.0
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(fileno, select.POLLIN)

    def begin(self) -> None:
        """Notes that the connection is idle from now on."""
        self._since = time.monotonic()

    def lasts(self) -> bool:
        """Returns whether it was not idle for long, and nothing has come meanwhile.

        What comes may be its end, or bytes that would be taken for the next answer.
        """
        if time.monotonic() - self._since > IDLE_SECONDS:
            return False
        if self._poll is not None:
            return not self._poll.poll(0)
        return not select.select([self._fileno], [], [], 0)[0]  # pragma: no cover (Windows)
