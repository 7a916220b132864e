"""The addresses of a broker: where it listens, and the transport of each."""

from __future__ import annotations

import ipaddress
import socket

from ..engines.broker import transport_registry
from ..engines.broker.curve import Security
from ..engines.broker.transports import ServerTransport
from ..engines.broker.zeromq import ZeroMQServer
from ..exceptions import ConfigurationError

_BACKLOG = 1_000


def check_address(address: str, *, has_keys: bool) -> None:
    """Checks where a broker listens.

    Raises:
        ConfigurationError: The address has no known transport, or others than this machine can reach it without keys.
    """
    if not is_tcp(address):
        transport_registry.open_server(address)
        return
    host = _host_port(address)[0]
    if not has_keys and not _is_loopback(host):
        raise ConfigurationError(
            f"a broker without keys listens on a loopback address, such as tcp://127.0.0.1:5757, and not on {host!r}: "
            "anybody who can connect can read and write everything. Create keys with 'package-database broker keys', "
            "and start the broker with --keys"
        )


def open_transport(address: str, security: Security | None = None, listener: int | None = None) -> ServerTransport:
    """Returns the transport of an address.

    Raises:
        ConfigurationError: See ``check_address``.
    """
    if not is_tcp(address):
        return transport_registry.open_server(address)
    check_address(address, has_keys=security is not None)
    return ZeroMQServer(address, security, listener)


def listen(address: str) -> socket.socket:
    """Returns a listening socket, which several processes may share.

    Raises:
        ConfigurationError: The address is invalid or in use.
    """
    host, port = _host_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"the broker cannot listen on {address}: {error.strerror}") from error
    # Otherwise a worker blocks if another one accepts the connection first.
    listener.settimeout(0)
    return listener


def address_of(listener: socket.socket) -> str:
    """Returns the address of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    host = host.strip("[]")
    try:
        return ("0.0.0.0" if host == "*" else host), 0 if port == "*" else int(port)  # noqa: S104 (with keys only)
    except ValueError:
        raise ConfigurationError("expected tcp://HOST:PORT, and HOST:PORT for --metrics") from None


def is_tcp(address: str) -> bool:
    """Returns whether clients reach an address themselves, not through a bus."""
    return address.startswith("tcp://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
