"""How much a wire may take: connections, and time for one attempt."""

from __future__ import annotations

from typing import Final

from ...record import record

CONNECTIONS: Final = 50
"""Connections that a wire keeps, for all threads or for one loop."""

_CONNECT_SHARE: Final = 0.1
_READ_SHARE: Final = 0.3
_LONGEST_CONNECT: Final = 2.0
_LONGEST_READ: Final = 6.0


@record
class Timeouts:
    """Seconds that connecting may take, and waiting for the answer after that.

    They are shares of a call's deadline: an attempt that gets no answer leaves time for another.
    """

    connect: float
    read: float

    @classmethod
    def of(cls, deadline: float) -> Timeouts:
        """Returns the timeouts for a call's deadline in seconds."""
        return cls(min(_LONGEST_CONNECT, deadline * _CONNECT_SHARE), min(_LONGEST_READ, deadline * _READ_SHARE))

    @property
    def attempt(self) -> float:
        """Seconds that a whole attempt may take."""
        return self.connect + self.read
