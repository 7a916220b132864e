"""Makes the routing ids that ZeroMQ assigns to clients unpredictable.

libzmq numbers the connections of a ROUTER, from two numbers of the C library's ``rand``, which it does not seed; so the
ids are the same in each process. It aborts the process when a client has claimed the next number as its own id (libzmq
4.3.5, ``router_t::identify_peer``).
"""

from __future__ import annotations

import ctypes
import secrets
from contextlib import suppress


def seed() -> None:
    """Seeds ``rand``, where the C library is that of the process."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).srand(secrets.randbits(32))
