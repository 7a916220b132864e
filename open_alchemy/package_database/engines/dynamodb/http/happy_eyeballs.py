"""Opens a TCP connection to the first address of a host that accepts one (RFC 8305, "Happy Eyeballs").

Addresses are tried in turn, each 250 ms after the one before. An earlier attempt goes on meanwhile: a round trip may
take longer than that.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence
from errno import EINPROGRESS, EWOULDBLOCK
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

Address: TypeAlias = tuple[socket.AddressFamily, Any]
"""An address family, and an address of it."""

ATTEMPT_DELAY: Final = 0.25
"""Seconds between the starts of two connection attempts (RFC 8305, section 5)."""
_IN_PROGRESS: Final = frozenset({0, EINPROGRESS, EWOULDBLOCK})


def resolve(host: str, port: int) -> list[Address]:
    """Looks up the addresses of a host. Blocks for as long as the resolver does.

    Raises:
        OSError: The host has no address.
        UnicodeError: The host is not ASCII.
    """
    # A text would be encoded with IDNA, whose import takes milliseconds.
    answer = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    found = [(family, address) for family, *_, address in answer]
    if not found:
        raise OSError(f"{host} has no address")
    return interleave(found)


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Returns the addresses with their families in turn (RFC 8305, section 4)."""
    families = dict.fromkeys(family for family, _ in addresses)
    columns = [[address for address in addresses if address[0] == family] for family in families]
    return [address for address in chain.from_iterable(zip_longest(*columns)) if address is not None]


def new_socket(family: socket.AddressFamily) -> socket.socket:
    """Returns a non-blocking TCP socket with the options of a client's connection."""
    created = socket.socket(family, socket.SOCK_STREAM)
    try:
        created.settimeout(0)
        created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        created.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except BaseException:
        created.close()
        raise
    return created


def connect(addresses: Sequence[Address], seconds: float) -> socket.socket:
    """Returns a non-blocking socket that is connected to one of the addresses.

    Args:
        addresses: At least one.
        seconds: How long it may take in all.

    Raises:
        TimeoutError: The time is over.
        OSError: No address accepts a connection: the error of the last that failed.
    """
    end = time.monotonic() + seconds
    attempts = _Attempts()
    try:
        for started, address in enumerate(addresses, start=1):
            attempts.start(address)
            next_start = end if started == len(addresses) else time.monotonic() + ATTEMPT_DELAY
            connected = attempts.wait(min(end, next_start))
            if connected is not None:
                return connected
        raise attempts.error
    finally:
        attempts.close()


class _Attempts:
    """Connection attempts that go on at the same time."""

    def __init__(self) -> None:
        self._pending: list[socket.socket] = []
        self._failure: OSError | None = None

    @property
    def error(self) -> OSError:
        """Why none of them has succeeded."""
        return self._failure if self._failure is not None and not self._pending else TimeoutError()

    def start(self, address: Address) -> None:
        attempt = new_socket(address[0])
        self._pending.append(attempt)
        error = attempt.connect_ex(address[1])
        if error not in _IN_PROGRESS:
            self._fail(attempt, error)

    def wait(self, end: float) -> socket.socket | None:
        """Returns the first that succeeds, None if all fail or the time is over."""
        while self._pending and (ended := _wait(self._pending, end - time.monotonic())):
            for attempt in ended:
                error = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not error:
                    self._pending.remove(attempt)
                    return attempt
                self._fail(attempt, error)
        return None

    def close(self) -> None:
        for attempt in self._pending:
            attempt.close()

    def _fail(self, attempt: socket.socket, error: int) -> None:
        self._pending.remove(attempt)
        attempt.close()
        self._failure = OSError(error, os.strerror(error))


def _wait(attempts: list[socket.socket], seconds: float) -> list[socket.socket]:
    """Returns the attempts that have ended, none if the time is over."""
    if seconds <= 0:
        return []
    if not hasattr(select, "poll"):  # pragma: no cover (Windows, which reports failures apart)
        _, writable, failed = select.select([], attempts, attempts, seconds)
        return [attempt for attempt in attempts if attempt in writable or attempt in failed]
    poll = select.poll()
    for attempt in attempts:
        poll.register(attempt, select.POLLOUT)
    descriptors = {descriptor for descriptor, _ in poll.poll(max(1, round(seconds * 1000)))}
    return [attempt for attempt in attempts if attempt.fileno() in descriptors]
