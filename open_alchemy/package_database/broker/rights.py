"""What each client of a broker may do, and the file that lists the clients. The rights are checked for each request.

A client is identified by its public key, which its transport has verified. Clients of a transport without keys, which
is a loopback address or a message bus with its own authentication, have all rights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, get_args

from ..engines import telemetry
from ..engines.broker import messages
from ..engines.broker.cache_messages import BetweenBrokers, SessionRequest
from ..engines.broker.curve_keys import is_key, load_toml
from ..exceptions import ConfigurationError
from .rate_limited_log import LimitedLog

RIGHTS: Final = ("read", "write", "call", "events")
READING_ACTIONS: Final = frozenset({"describe", "differences"})
_CHECK_SECONDS: Final = 1.0

_NEEDED: Final[dict[type, str]] = {
    messages.Get: "read",
    messages.Query: "read",
    messages.Scan: "read",
    messages.Describe: "read",
    messages.Status: "read",
    messages.Granters: "read",
    **dict.fromkeys(get_args(SessionRequest), "read"),
    **dict.fromkeys(get_args(BetweenBrokers), "all"),
    messages.Transact: "write",
    messages.Call: "call",
    messages.Subscribe: "events",
}


class Client(NamedTuple):
    """A client of a broker.

    Attributes:
        name: Its name, for the log.
        may: Its rights.
        instances: The instances that it may use; None for all.
    """

    name: str
    may: frozenset[str]
    instances: frozenset[str] | None = None


ANYBODY: Final = Client("", frozenset(RIGHTS))
Clients: TypeAlias = Mapping[str, Client]
"""Clients by their public keys."""


def problem(client: Client | None, request: messages.Request) -> str | None:
    """Returns why a client may not send a request, or None if it may."""
    if client is ANYBODY:
        return None
    if client is None:
        return "the client is not listed any more"
    right = needed(request.body)
    if right not in client.may and not client.may.issuperset(RIGHTS):
        return f"the client {client.name} has no right to {right}"
    if client.instances is not None and request.instance not in client.instances:
        return f"the client {client.name} may not use this instance"
    return None


def needed(body: object) -> str:
    """Returns the right that a request needs; one that is not listed needs all of them."""
    if isinstance(body, messages.Administer):
        return "read" if body.action in READING_ACTIONS else "write"
    return _NEEDED.get(type(body), "all")


class ClientsFile:
    """The file of clients, which is read again when it changes, at most once a second.

    An invalid change is logged, and the previous content stays in use.

    Args:
        path: The file.
        clock: Returns the monotonic time in seconds.
        broker: The public key of the broker, with which the other brokers of its stores connect.

    Raises:
        ConfigurationError: The file cannot be read or is invalid.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic, *, broker: str = "") -> None:
        self._path = path.absolute()
        self._trusted = frozenset(filter(None, [broker]))
        self._clock = clock
        self._fingerprint = _fingerprint(self._path)
        self._clients = read_clients(self._path)
        self._check_at = clock() + _CHECK_SECONDS
        self._refused = 0
        self._log = LimitedLog(clock)

    def find(self, user: str) -> Client | None:
        """Returns the client with a public key; brokers and clients of a transport without keys have all rights."""
        return ANYBODY if not user or user in self._trusted else self._current().get(user)

    def allows(self, user: str) -> bool:
        """Returns whether a client is listed or a broker; logs and counts one that is not."""
        if user in self._trusted or user in self._current():
            return True
        self._refused += 1
        self._log.report("a client with an unknown key was refused")
        return False

    def figures(self) -> dict[str, int]:
        """Returns the number of refused connections."""
        return {"refused_clients": self._refused}

    def _current(self) -> Clients:
        now = self._clock()
        if now >= self._check_at:
            self._check_at = now + _CHECK_SECONDS
            self._read_if_changed()
        return self._clients

    def _read_if_changed(self) -> None:
        fingerprint = _fingerprint(self._path)
        if fingerprint == self._fingerprint:
            return
        self._fingerprint = fingerprint
        try:
            self._clients = read_clients(self._path)
        except ConfigurationError as error:
            telemetry.logger().error("the previous clients stay in use: %s", error)


def read_clients(path: Path) -> Clients:
    """Returns the clients that a file lists.

    Raises:
        ConfigurationError: The file cannot be read or is invalid.
    """
    try:
        return parse(load_toml(path))
    except ConfigurationError as error:
        text = str(error)
        raise ConfigurationError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def parse(document: Mapping[str, Any]) -> Clients:
    """Returns the clients of a TOML document.

    Raises:
        ConfigurationError: A key is missing, unknown or has a wrong value; the message names it.
    """
    if unknown := sorted(document.keys() - {"clients"}):
        raise ConfigurationError(f"unknown key {unknown[0]}: expected tables [clients.NAME]")
    tables = document.get("clients", {})
    if not isinstance(tables, dict):
        raise ConfigurationError("clients must consist of tables [clients.NAME]")
    clients: dict[str, Client] = {}
    for name, table in tables.items():
        key, client = _client(name, table)
        if key in clients:
            raise ConfigurationError(f"clients.{name}.key is the key of clients.{clients[key].name} too")
        clients[key] = client
    return clients


def _client(name: str, table: object) -> tuple[str, Client]:
    where = f"clients.{name}"
    if not isinstance(table, dict):
        raise ConfigurationError(f"{where} must be a table")
    if unknown := sorted(table.keys() - {"key", "may", "instances"}):
        raise ConfigurationError(f"unknown key {where}.{unknown[0]}: expected key, may, instances")
    key = table.get("key")
    if not is_key(key):
        raise ConfigurationError(f"{where}.key must be a public key of 40 characters")
    may = _texts(f"{where}.may", table.get("may"))
    if not may <= set(RIGHTS):
        raise ConfigurationError(f"{where}.may must list some of {', '.join(RIGHTS)}")
    instances = None if "instances" not in table else _texts(f"{where}.instances", table["instances"])
    return str(key), Client(name, may, instances)


def _texts(where: str, value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ConfigurationError(f"{where} must be a list of texts")
    return frozenset(value)


def _fingerprint(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
