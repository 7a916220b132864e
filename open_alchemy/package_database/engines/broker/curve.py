"""CURVE on ZeroMQ's sockets: encryption, verification of the broker, and authentication of its clients (ZAP).

https://rfc.zeromq.org/spec/26/, https://rfc.zeromq.org/spec/27/
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import zmq
from zmq.utils import z85

from .curve_keys import BrokerKeys, read_client_keys

ZAP_ADDRESS: Final = "inproc://zeromq.zap.01"
_DOMAIN: Final = b"package-database"
_USER_PROPERTY: Final = "User-Id"


class Security(NamedTuple):
    """How a broker secures its socket.

    Attributes:
        keys: The keys of the broker.
        allows: Returns whether a client with a public key may connect.
    """

    keys: BrokerKeys
    allows: Callable[[str], bool]


def secure_client(socket: zmq.Socket[bytes], key_file: Path) -> None:
    """Sets the keys of a client, before it connects.

    Raises:
        ConfigurationError: The file cannot be read or is invalid.
    """
    keys = read_client_keys(key_file)
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.broker.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, bytes(keys.secret))


def secure_server(socket: zmq.Socket[bytes], keys: BrokerKeys) -> None:
    """Sets the keys of a broker, before it binds."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, bytes(keys.secret))
    socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)


def answer_zap(request: list[bytes], allows: Callable[[str], bool]) -> list[bytes]:
    """Returns the answer to a request of ZeroMQ to authenticate a client. The user is its public key.

    Args:
        request: The frames: version, request id, domain, address, routing id, mechanism, credentials.
        allows: Returns whether a client with a public key may connect.
    """
    version, request_id, *_ = request
    mechanism, key = request[5], request[6] if len(request) > 6 else b""  # noqa: PLR2004 (the position in the request)
    user = z85.encode(key).decode() if mechanism == b"CURVE" else ""
    if user and allows(user):
        return [version, request_id, b"200", b"OK", user.encode(), b""]
    return [version, request_id, b"400", b"unknown key", b"", b""]


def user_of(frame: zmq.Frame) -> str:
    """Returns the public key of the client that sent a frame."""
    user: str = frame.get(_USER_PROPERTY)  # type: ignore[assignment]
    return user
