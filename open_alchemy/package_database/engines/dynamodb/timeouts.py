"""How long one attempt may take: shares of a call's deadline, so that one without an answer leaves time for another."""

from __future__ import annotations

from dataclasses import dataclass

_CONNECT_SHARE = 0.1
_READ_SHARE = 0.3
_LONGEST_CONNECT = 2.0
_LONGEST_READ = 6.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that connecting may take, and waiting for the answer after that."""

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
