"""The figures of the workers of a broker, in memory that they share."""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Mapping
from typing import Final

from .metrics import Figures, merge

_SLOT_BYTES: Final = 16_384
_HEAD: Final = struct.Struct("<II")
_ATTEMPTS: Final = 10


class SharedFigures:
    """The figures of each worker. Create it before the workers are forked.

    Args:
        workers: The number of workers.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, workers * _SLOT_BYTES)

    def write(self, worker: int, figures: Figures) -> None:
        """Replaces the figures of a worker."""
        data = json.dumps(dict(figures)).encode()
        start = worker * _SLOT_BYTES
        content = _HEAD.pack(len(data), zlib.crc32(data)) + data
        if len(content) <= _SLOT_BYTES:
            self._memory[start : start + len(content)] = content

    def is_written(self, worker: int) -> bool:
        """Returns whether a worker has ever written its figures."""
        return self._read(worker) is not None

    def total(self) -> dict[str, int | float]:
        """Returns the sums over the workers."""
        return merge(filter(None, map(self._read, range(self._workers))))

    def _read(self, worker: int) -> Mapping[str, int | float] | None:
        """Returns the figures of a worker; None if it has not written them yet."""
        start = worker * _SLOT_BYTES
        for _ in range(_ATTEMPTS):
            size, checksum = _HEAD.unpack_from(self._memory, start)
            data = self._memory[start + _HEAD.size : start + _HEAD.size + size]
            # Otherwise the worker is writing.
            if size and zlib.crc32(data) == checksum:
                figures: dict[str, int | float] = json.loads(data)
                return figures
        return None
