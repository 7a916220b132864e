"""Selects the adapter of a transport. Imports only the driver that is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final, TypeAlias

from ...exceptions import ConfigurationError
from ...extras import imports, missing
from ..port import DatabaseURLError
from .codec import Buffer, Codec, find_codec
from .config import BUS_PORTS, CODECS, BrokerConfig, Bus, read_bus
from .transports import Connection, ServerTransport

Connect: TypeAlias = Callable[[str, Callable[[Buffer], None]], Connection]
_ADAPTERS: Final = {
    "broker": ("zeromq", "ZeroMQ"),
    "nats": ("nats", "NATS"),
    "amqp": ("amqp", "AMQP"),
}


def find_connect(config: BrokerConfig, *, reconnects: bool = True) -> Connect:
    """Returns what opens a connection in the running event loop.

    Args:
        config: The configuration.
        reconnects: Whether a broken connection to one broker is opened again, perhaps to another process.

    Raises:
        ConfigurationError: The driver is not installed.
    """
    if config.bus is None:
        return partial(_load("broker", "Connection"), key_file=config.key_file, reconnects=reconnects)
    return partial(_connect_to_bus, _load(config.bus.scheme, "Connection"), config)


def open_server(url: str) -> ServerTransport:
    """Returns the broker's side of a message bus.

    Raises:
        ConfigurationError: The URL is invalid, or the driver is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in BUS_PORTS:
        raise ConfigurationError(
            "a broker listens at tcp://HOST:PORT, nats://HOST:PORT/PREFIX or amqp://HOST:PORT/PREFIX"
        )
    try:
        bus, _ = read_bus(scheme, rest)
    except DatabaseURLError as error:
        raise ConfigurationError(f"the broker cannot listen: {error}") from None
    return open_bus_server(bus)


def open_bus_server(bus: Bus) -> ServerTransport:
    """Returns the broker's side of a bus; raises what ``open_server`` does."""
    transport: ServerTransport = _load(bus.scheme, "Server")(bus)
    return transport


def codec_of(config: BrokerConfig) -> Codec:
    """Returns the codec of a client.

    Raises:
        ConfigurationError: It is not installed.
    """
    codec = find_codec(CODECS[config.codec])
    if codec is None:
        raise missing("?codec=bson", "bson")
    return codec


def _connect_to_bus(class_: Callable[..., Connection], config: BrokerConfig, address: str, receive: Any) -> Connection:
    return class_(config.bus, receive, address)


def _load(scheme: str, kind: str) -> Any:
    module, prefix = _ADAPTERS[scheme]
    with imports(f"{scheme}://", scheme):
        return getattr(import_module(f".{module}", __package__), prefix + kind)
