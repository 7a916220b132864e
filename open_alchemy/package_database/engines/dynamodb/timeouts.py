"""Limits of a client: the number of connections, and the timeouts of one attempt."""

from __future__ import annotations

from typing import Final, NamedTuple

CONNECTIONS: Final = 50
"""Connections of one client, for all threads or for one event loop."""


class Timeouts(NamedTuple):
    """Timeouts of the phases of an attempt in seconds.

    They are shares of a call's deadline, so that an attempt without a response leaves time for another. Name lookup
    and waiting for a free connection have no timeout of their own: the deadline bounds them.

    Attributes:
        connect: For a TCP connection to any address of the host.
        handshake: For the TLS handshake.
        read: Without a byte sent or received; a response may take longer as long as it arrives.
    """

    connect: float
    handshake: float
    read: float

    @classmethod
    def of(cls, deadline: float) -> Timeouts:
        """Returns the timeouts for a call's deadline in seconds."""
        return cls(connect=min(3.0, deadline * 0.2), handshake=min(3.0, deadline * 0.2), read=min(6.0, deadline * 0.3))

    @property
    def attempt(self) -> float:
        """The longest attempt of a client that has no deadline, on a connection without TLS."""
        return self.connect + self.read
