"""Splits long messages, and assembles them. Pure.

A long answer is sent in parts, each after a report of work on its request. So a client whose connection transfers an
answer slowly does not request it again, and a connection is not considered half-open meanwhile.

A part is ``+``, or ``.`` if it is the last one; the message's number in 8 bytes; the part's number from 0 in 2 bytes,
big-endian; and bytes of the message. No codec has one of these first bytes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

from ...core.secret import Secret
from .codec import Buffer

PART_BYTES: Final = 100_000
"""The most bytes of a part of an answer: a connection that transfers fewer in ``SILENCE`` is too slow."""
MORE: Final = b"+"
LAST: Final = b"."
_HEAD: Final = 11
_MAX_INCOMPLETE: Final = 64
_MAX_INCOMPLETE_BYTES: Final = 128_000_000
_PART_BYTES: Final = 200
"""The memory of a part in addition to its bytes, approximately."""
MAX_BYTES: Final = 16_000_000
"""The length of the longest message: four times ``MAX_TRANSACT_BYTES``."""


def split(message: Secret, size: int, number: int, report: Secret | None = None) -> Iterator[Secret]:
    """Returns the parts of a message.

    Args:
        message: The message.
        size: The most bytes of a part.
        number: A number that the sender has not used before.
        report: A message that precedes each part, if any.
    """
    length = size - _HEAD
    starts = range(0, len(message), length)
    for part, start in enumerate(starts):
        if report is not None:
            yield report
        kind = LAST if start == starts[-1] else MORE
        yield Secret(kind + number.to_bytes(8) + part.to_bytes(2) + message[start : start + length])


class Assembler:
    """The incomplete messages of any number of senders, in bounded memory.

    Args:
        max_bytes: The length of the longest message.

    Attributes:
        size: The memory of the incomplete messages in bytes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._incomplete: dict[tuple[Hashable, bytes], _Incomplete] = {}
        self.size = 0

    def add(self, sender: Hashable, data: Buffer) -> Buffer | None:
        """Adds a received message or part, and returns the message if it is complete.

        A message of which a part was lost is dropped, and so is the oldest of too many.
        """
        kind = bytes(data[:1])
        if kind not in {MORE, LAST}:
            return data
        key = (sender, bytes(data[1:9]))
        found = self._remove(key) or _Incomplete()
        if not found.add(data, self._max_bytes):
            return None
        if kind == LAST:
            return memoryview(b"".join(found.parts))
        self._incomplete[key] = found
        self.size += found.size
        while len(self._incomplete) > _MAX_INCOMPLETE or self.size > _MAX_INCOMPLETE_BYTES:
            self._remove(next(iter(self._incomplete)))
        return None

    def _remove(self, key: tuple[Hashable, bytes]) -> _Incomplete | None:
        found = self._incomplete.pop(key, None)
        if found is not None:
            self.size -= found.size
        return found


class _Incomplete:
    """The parts of a message that were received."""

    def __init__(self) -> None:
        self.parts: list[Buffer] = []
        self._bytes = 0

    @property
    def size(self) -> int:
        """Its memory in bytes."""
        return self._bytes + len(self.parts) * _PART_BYTES

    def add(self, part: Buffer, max_bytes: int) -> bool:
        """Adds a part; returns False if it is not the next one, or if the message is too long."""
        if len(self.parts) != int.from_bytes(part[9:_HEAD]):
            return False
        self.parts.append(part[_HEAD:])
        self._bytes += len(part) - _HEAD
        return self._bytes <= max_bytes
