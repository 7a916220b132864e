"""Random numbers for backoff, from the operating system. Importing ``random`` adds milliseconds to a cold start."""

from __future__ import annotations

import os


def random() -> float:
    """Returns a random number from 0 to 1."""
    return int.from_bytes(os.urandom(7)) / (1 << 56)
