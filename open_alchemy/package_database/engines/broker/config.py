"""The configuration of a broker's client, from a URL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

from ...core.operations import Table
from ..port import DEFAULT_DEADLINE, AsyncEngine, DatabaseURLError, Engine, Environment, read_deadline

URLS: Final = ("broker://HOST:PORT,HOST:PORT/INSTANCE?key=FILE",)
DEFAULT_PORT: Final = 5757
_PORTS: Final = range(1, 65_536)

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_INSTANCE: Final = re.compile(r"[a-zA-Z0-9._-]{0,100}")


class BrokerConfig(NamedTuple):
    """The configuration of a database behind brokers.

    Attributes:
        addresses: The addresses of the brokers, in ZeroMQ's notation.
        instance: The instance of the brokers; empty for their default one.
        deadline: The deadline of a call in seconds.
        key_file: The file with the client's keys; None to connect without encryption.
    """

    addresses: tuple[str, ...]
    instance: str = ""
    deadline: float = DEFAULT_DEADLINE
    key_file: Path | None = None

    @property
    def location(self) -> str:
        """The URL."""
        hosts = ",".join(address.removeprefix("tcp://") for address in self.addresses)
        return f"broker://{hosts}" + f"/{self.instance}" * bool(self.instance)

    def open_engine(self, tables: Sequence[Table]) -> Engine:
        """Returns an engine for threads."""
        del tables  # Operations refer to theirs.
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
    place, separator, query = rest.partition("?")
    hosts, _, instance = place.partition("/")
    if not _INSTANCE.fullmatch(instance):
        raise DatabaseURLError(
            "the instance in a broker URL consists of letters, digits, dots, hyphens and underscores"
        )
    addresses = tuple(map(_address, hosts.split(",")))
    key_file = _key_file(query) if separator else None
    return BrokerConfig(addresses, instance, read_deadline(environment), key_file)


def _key_file(query: str) -> Path:
    name, _, value = query.partition("=")
    if name != "key" or not value or "&" in value:
        raise DatabaseURLError("the only parameter of a broker URL is ?key=FILE, the file with the keys of the client")
    return Path(unquote(value))


def _address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"] or DEFAULT_PORT) not in _PORTS:
        raise DatabaseURLError("expected broker://HOST:PORT, or several HOST:PORT separated by commas")
    return f"tcp://{found['host']}:{found['port'] or DEFAULT_PORT}"
