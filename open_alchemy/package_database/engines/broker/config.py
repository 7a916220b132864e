"""The configuration of a broker's client, from a URL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote

from ...core.operations import Table
from ...extras import imports
from ..port import DEFAULT_DEADLINE, AsyncEngine, DatabaseURLError, Engine, Environment, read_deadline

URLS: Final = ("broker://HOST:PORT,HOST:PORT/INSTANCE?key=FILE",)
DEFAULT_PORT: Final = 5757
DEFAULT_PREFIX: Final = "package-database"
DEFAULT_CACHE_ENTRIES: Final = 10_000
_CACHED_TABLES: Final[Mapping[str, frozenset[str]]] = {"specs": frozenset({"package.specs"})}
BUS_PORTS: Final = {"nats": 4222, "amqp": 5672}
"""The message buses, with their default ports."""
CODECS: Final = {"msgpack": b"M", "json": b"J", "bson": b"B"}
_TLS_FILES: Final = frozenset({"tls_ca", "tls_certificate", "tls_key"})
_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "broker": frozenset({"cache", "key"}),
    "nats": frozenset({"cache", "tls", "credentials", "nkey"}) | _TLS_FILES,
    "amqp": frozenset({"cache", "tls", "vhost"}) | _TLS_FILES,
}
_PORTS: Final = range(1, 65_536)

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_ENTRIES: Final = re.compile(r"[1-9][0-9]{0,8}")
_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{0,100}")


class Bus(NamedTuple):
    """A message bus through which brokers are reached.

    Attributes:
        scheme: ``nats`` or ``amqp``.
        hosts: Its servers, as ``HOST:PORT``.
        prefix: What the names of all subjects or queues start with.
        user: The user; empty for none.
        password: The password.
        parameters: The other parameters of the URL.
    """

    scheme: str
    hosts: tuple[str, ...]
    prefix: str = DEFAULT_PREFIX
    user: str = ""
    password: str = ""
    parameters: Mapping[str, str] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"<{self.location}>"

    @property
    def location(self) -> str:
        """The URL, without user and parameters."""
        return f"{self.scheme}://{','.join(self.hosts)}/{self.prefix}"

    @property
    def broker_address(self) -> str:
        """What the addresses of the brokers on this bus start with: ``SCHEME:SUBJECT``."""
        return f"{self.scheme}:{self.prefix}.broker."

    def file(self, parameter: str) -> Path | None:
        """Returns the file that a parameter names."""
        return Path(self.parameters[parameter]) if self.parameters.get(parameter) else None


class CacheOptions(NamedTuple):
    """What a client may cache.

    Attributes:
        max_entries: The maximum number of entries.
        tables: The names of the tables whose items may be cached; None for all.
    """

    max_entries: int = DEFAULT_CACHE_ENTRIES
    tables: frozenset[str] | None = None


class BrokerConfig(NamedTuple):
    """The configuration of a database behind brokers.

    Attributes:
        addresses: The addresses of the brokers, in ZeroMQ's notation; or that of the bus.
        instance: The instance of the brokers; empty for their default one.
        deadline: The deadline of a call in seconds.
        codec: The name of the codec of the messages.
        bus: The bus, unless the client connects to the brokers themselves.
        key_file: The file with the client's keys; None to connect without encryption.
        cache: What the client may cache; None for nothing.
    """

    addresses: tuple[str, ...]
    instance: str = ""
    deadline: float = DEFAULT_DEADLINE
    codec: str = "msgpack"
    bus: Bus | None = None
    key_file: Path | None = None
    cache: CacheOptions | None = None

    @property
    def location(self) -> str:
        """The URL."""
        hosts = ",".join(address.removeprefix("tcp://") for address in self.addresses)
        brokers = f"broker://{hosts}" if self.bus is None else self.bus.location
        return brokers + f"/{self.instance}" * bool(self.instance)

    @property
    def scheme(self) -> str:
        """The scheme of the URL, and the name of the extra with the packages that it needs."""
        return "broker" if self.bus is None else self.bus.scheme

    def reachable(self, address: str) -> str | None:
        """Returns that of a broker's addresses, separated by commas, at which its clients reach it; None if none is."""
        start = "tcp://" if self.bus is None else self.bus.broker_address
        return next((each for each in address.split(",") if each.startswith(start)), None)

    def open_engine(self, tables: Sequence[Table]) -> Engine:
        """Returns an engine for threads."""
        del tables  # Operations refer to theirs.
        with imports(f"{self.scheme}://", self.scheme):
            if self.cache is not None:
                from .background_loop_engine import CachingEngine

                return CachingEngine(self)
            if self.bus is not None:
                from .background_loop_engine import LoopEngine

                return LoopEngine(self)
            from .engine import BrokerEngine

            return BrokerEngine(self)

    def open_async_engine(self, tables: Sequence[Table]) -> AsyncEngine:
        """Returns an engine for asyncio."""
        del tables
        from .async_engine import AsyncBrokerEngine

        return AsyncBrokerEngine(self)


def read_url(rest: str, environment: Environment) -> BrokerConfig:
    """Returns the configuration of a ``broker`` URL: one or several addresses, and perhaps an instance of theirs.

    Args:
        rest: The part of the URL after ``broker://``.
        environment: The environment variables.

    Raises:
        DatabaseURLError: The URL is invalid; the message contains no part of it.
        ConfigurationError: The deadline is invalid.
    """
    place, parameters = _split("broker", rest)
    hosts, _, instance = place.partition("/")
    addresses = tuple(f"tcp://{address}" for address in _addresses("broker", hosts, DEFAULT_PORT))
    return BrokerConfig(
        addresses,
        _name(instance),
        read_deadline(environment),
        _codec(parameters),
        key_file=_key_file(parameters),
        cache=_cache(parameters.get("cache")),
    )


def read_bus_url(scheme: str, rest: str, environment: Environment) -> BrokerConfig:
    """Returns the configuration of a URL of a message bus, as ``read_url`` does."""
    bus, instance = read_bus(scheme, rest)
    codec, cache = _codec(bus.parameters), _cache(bus.parameters.get("cache"))
    return BrokerConfig((bus.location,), _name(instance), read_deadline(environment), codec, bus, cache=cache)


def read_bus(scheme: str, rest: str) -> tuple[Bus, str]:
    """Returns the bus of a URL, and the rest of its path.

    Args:
        scheme: The scheme of the URL.
        rest: The part after ``://``: ``USER:PASSWORD@HOST:PORT,HOST:PORT/PREFIX/INSTANCE?PARAMETERS``.

    Raises:
        DatabaseURLError: The URL is invalid; the message contains no part of it.
    """
    place, parameters = _split(scheme, rest)
    authority, _, path = place.partition("/")
    account, _, hosts = authority.rpartition("@")
    user, _, password = account.partition(":")
    prefix, _, instance = path.partition("/")
    return Bus(
        scheme,
        _addresses(scheme, hosts, BUS_PORTS[scheme]),
        _name(prefix) or DEFAULT_PREFIX,
        unquote(user),
        unquote(password),
        MappingProxyType(parameters),
    ), instance


def _split(scheme: str, rest: str) -> tuple[str, dict[str, str]]:
    place, _, query = rest.partition("?")
    parameters: dict[str, str] = {}
    for text in filter(None, query.split("&")):
        name, _, value = text.partition("=")
        parameters[name] = unquote(value)
    allowed = _PARAMETERS[scheme] | {"codec"}
    if not parameters.keys() <= allowed:
        raise DatabaseURLError(f"the parameters of a {scheme} URL are {', '.join(sorted(allowed))}")
    return place, parameters


def _addresses(scheme: str, hosts: str, default_port: int) -> tuple[str, ...]:
    found = [_ADDRESS.fullmatch(host) for host in hosts.split(",")]
    addresses = tuple((match["host"], int(match["port"] or default_port)) for match in found if match)
    if len(addresses) < len(found) or not all(port in _PORTS for _, port in addresses):
        raise DatabaseURLError(f"expected {scheme}://HOST:PORT, or several HOST:PORT separated by commas")
    return tuple(f"{host}:{port}" for host, port in addresses)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise DatabaseURLError(
            "the prefix and the instance in a broker URL consist of letters, digits, dots, hyphens and underscores"
        )
    return text


def _cache(text: str | None) -> CacheOptions | None:
    """Reads ``ENTRIES``, ``specs``, or both with a comma."""
    if text is None:
        return None
    options = CacheOptions()
    for part in text.split(","):
        if part in _CACHED_TABLES:
            options = options._replace(tables=_CACHED_TABLES[part])
        elif _ENTRIES.fullmatch(part):
            options = options._replace(max_entries=int(part))
        else:
            raise DatabaseURLError("the cache in a broker URL is a number of entries, specs, or both with a comma")
    return options


def _codec(parameters: Mapping[str, str]) -> str:
    codec = parameters.get("codec", "msgpack")
    if codec not in CODECS:
        raise DatabaseURLError(f"the codec in a broker URL is {', '.join(CODECS)}")
    return codec


def _key_file(parameters: Mapping[str, str]) -> Path | None:
    if parameters.get("key") == "":
        raise DatabaseURLError("the parameter key of a broker URL is the file with the keys of the client")
    return Path(parameters["key"]) if "key" in parameters else None
