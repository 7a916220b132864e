"""Bounds the bytes that wait to be sent to clients that read slowly or not at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Protocol

TRACKED_BYTES: Final = 4_096
"""Shorter messages are bounded by their number, ``SNDHWM``."""
MAX_PEER_BYTES: Final = 8_000_000
MAX_BYTES: Final = 256_000_000


class Tracker(Protocol):
    """Reports when a message has been written to its connection, or dropped."""

    @property
    def done(self) -> bool:
        """Whether it has."""


class SendBudget:
    """The bytes of long messages that are not written yet, for each client and in total."""

    def __init__(self, max_peer_bytes: int = MAX_PEER_BYTES, max_bytes: int = MAX_BYTES) -> None:
        self._max_peer_bytes = max_peer_bytes
        self._max_bytes = max_bytes
        self._waiting: dict[Hashable, deque[tuple[Tracker, int]]] = {}
        self._bytes: dict[Hashable, int] = {}
        self.total = 0

    def allows(self, peer: Hashable, size: int) -> bool:
        """Returns whether a message may be sent to a client. The first one always may, if the total allows it."""
        self._release(peer)
        if self.total + size > self._max_bytes:
            for other in list(self._waiting):
                self._release(other)
        held = self._bytes.get(peer, 0)
        return self.total + size <= self._max_bytes and (not held or held + size <= self._max_peer_bytes)

    def add(self, peer: Hashable, tracker: Tracker, size: int) -> None:
        """Counts a message until it is written."""
        self._waiting.setdefault(peer, deque()).append((tracker, size))
        self._count(peer, size)

    def _release(self, peer: Hashable) -> None:
        waiting = self._waiting.get(peer)
        while waiting and waiting[0][0].done:
            self._count(peer, -waiting.popleft()[1])
        if waiting is not None and not waiting:
            del self._waiting[peer], self._bytes[peer]

    def _count(self, peer: Hashable, size: int) -> None:
        self.total += size
        self._bytes[peer] = self._bytes.get(peer, 0) + size
