"""Clients that do not follow the protocol, on plain sockets."""

from __future__ import annotations

import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY_PROPERTIES = b"\x0bSocket-Type\x00\x00\x00\x06DEALER"
_READY_BODY = b"\x05READY" + _READY_PROPERTIES
READY = bytes([4, len(_READY_BODY)]) + _READY_BODY
"""ZMTP 3.0 (https://rfc.zeromq.org/spec/23/)."""


def connect_raw(url: str) -> socket.socket:
    """Returns a TCP connection to the broker of a URL."""
    place = urlsplit(url)
    assert place.hostname is not None
    return socket.create_connection((place.hostname, place.port), 60)


def handshake(connection: socket.socket) -> None:
    """Performs the handshake of a client without keys."""
    connection.sendall(GREETING + READY)
    receive_exactly(connection, 64)
    flags, size = receive_exactly(connection, 2)
    assert flags == 4
    receive_exactly(connection, size)


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Returns the next bytes of a connection."""
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        assert part, "the connection was closed"
        data += part
    return data


def frame(data: bytes) -> bytes:
    """Returns a message as a ZMTP frame."""
    return b"\x02" + struct.pack(">Q", len(data)) + data


def announce(size: int) -> bytes:
    """Returns the head of a message of a size."""
    return b"\x02" + struct.pack(">Q", size)


def is_closed_by_peer(connection: socket.socket) -> bool:
    """Reads until the peer closes the connection; returns False if it does not in time."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


class Recorder:
    """Forwards a connection to a broker, and records what the client sends.

    Attributes:
        address: The URL at which it listens.
        sent: What the client has sent.
        is_closed: Whether the broker has closed the connection.
    """

    def __init__(self, url: str) -> None:
        self._target = url
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._broker: socket.socket | None = None
        self.address = f"broker://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = bytearray()
        self.is_closed = False

    def run(self) -> None:
        """Forwards one connection in both directions."""
        client, _ = self._listener.accept()
        self._listener.close()
        with client, connect_raw(self._target) as self._broker:
            back = threading.Thread(target=self._forward_back, args=(self._broker, client))
            back.start()
            _forward(client, self._broker, self.sent)
            with suppress(OSError):
                self._broker.shutdown(socket.SHUT_WR)
            back.join()

    def repeat(self, data: bytes) -> None:
        """Sends bytes to the broker once more."""
        assert self._broker is not None
        self._broker.sendall(data)

    def _forward_back(self, broker: socket.socket, client: socket.socket) -> None:
        _forward(broker, client, bytearray())
        self.is_closed = True


@contextmanager
def recorded(url: str) -> Iterator[Recorder]:
    """Runs a recorder in front of a broker."""
    recorder = Recorder(url)
    thread = threading.Thread(target=recorder.run)
    thread.start()
    try:
        yield recorder
    finally:
        thread.join()


def _forward(source: socket.socket, target: socket.socket, record: bytearray) -> None:
    source.settimeout(None)
    try:
        while data := source.recv(65_536):
            record += data
            target.sendall(data)
    except OSError:
        return


def resident_bytes() -> int:
    """Returns the memory that this process uses."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0, pause: float = 0.01) -> None:
    """Waits until a function returns true; the limit only ends a test that would wait forever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(pause)
