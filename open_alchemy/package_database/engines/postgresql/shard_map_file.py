"""Reads the file that names the servers of a ``shards://`` URL."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...exceptions import ConfigurationError
from .shard_hash import DEFAULT_SHARDS, MAX_SHARDS

DEFAULT_POOL_MAX: Final = 10
DEFAULT_POOL_BLOCK_TIMEOUT: Final = 5.0

_KEYS: Final = {"shards", "pool_max", "pool_block_timeout", "servers"}
_SERVER_KEYS: Final = {"name", "shards", "conninfo"}
_MAX_TIMEOUT: Final = 86_400
_RANGE: Final = re.compile(r"([1-9][0-9]{0,3})-([1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server.

    Attributes:
        name: Its name, for people.
        conninfo: The connection string of libpq. It may contain a password.
        shards: The shards that ``tables create`` creates there. A shard may be moved later.
    """

    name: str
    conninfo: str = field(repr=False)
    shards: range


@dataclass(frozen=True, slots=True)
class ShardMap:
    """The servers of a sharded database.

    Attributes:
        shards: The number of logical shards.
        servers: The servers.
        pool_max: The most connections that a process keeps to each server.
        pool_block_timeout: The most seconds that a call waits for a connection.
    """

    shards: int
    servers: tuple[Server, ...]
    pool_max: int = DEFAULT_POOL_MAX
    pool_block_timeout: float = DEFAULT_POOL_BLOCK_TIMEOUT


def read_shard_map(path: Path) -> ShardMap:
    """Returns the content of a file.

    Raises:
        ConfigurationError: The file cannot be read, or a key is missing, unknown or has a wrong value. The message
            names the file and the key, and shows no connection string.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8"
        raise ConfigurationError(f"{path} is not a TOML file: {reason}") from None
    try:
        return parse_shard_map(content)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def parse_shard_map(content: Mapping[str, Any]) -> ShardMap:
    """Returns the shard map that a TOML document describes; raises ``ConfigurationError`` that names the key."""
    _check_keys(content, _KEYS, "")
    shards = _integer(content, "shards", DEFAULT_SHARDS, MAX_SHARDS)
    pool_max = _integer(content, "pool_max", DEFAULT_POOL_MAX, 10_000)
    timeout = content.get("pool_block_timeout", DEFAULT_POOL_BLOCK_TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= _MAX_TIMEOUT:
        raise ConfigurationError(f"pool_block_timeout must be a number of seconds above 0 and at most {_MAX_TIMEOUT}")
    listed = content.get("servers")
    if not isinstance(listed, list) or not listed:
        raise ConfigurationError("servers must be a list of at least one [[servers]] table")
    servers = tuple(_server(number, server, shards) for number, server in enumerate(listed, 1))
    _check_coverage(servers, shards)
    return ShardMap(shards, servers, pool_max, float(timeout))


def parse_range(text: object, shards: int) -> range | None:
    """Returns the shards of a text such as ``1-33``, which is 1 to 32; None if the text is not such a range."""
    found = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if found is None or not 1 <= int(found[1]) < int(found[2]) <= shards + 1:
        return None
    return range(int(found[1]), int(found[2]))


def _server(number: int, server: object, shards: int) -> Server:
    where = f"servers[{number}]"
    if not isinstance(server, dict):
        raise ConfigurationError(f"{where} must be a table")
    _check_keys(server, _SERVER_KEYS, f"{where}.")
    for key in ("name", "conninfo"):
        if not isinstance(server.get(key), str) or not server[key].strip():
            raise ConfigurationError(f"{where}.{key} must be a text that is not empty")
    found = parse_range(server.get("shards"), shards)
    if found is None:
        raise ConfigurationError(
            f'{where}.shards must be "FIRST-END" with 1 <= FIRST < END <= {shards + 1}; END is not included'
        )
    return Server(server["name"], server["conninfo"], found)


def _check_keys(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise ConfigurationError(f"unknown key {where}{unknown[0]}: expected {', '.join(sorted(known))}")


def _integer(table: Mapping[str, Any], key: str, default: int, largest: int) -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise ConfigurationError(f"{key} must be a whole number from 1 to {largest}")
    return value


def _check_coverage(servers: Sequence[Server], shards: int) -> None:
    names = [server.name for server in servers]
    if len(set(names)) != len(names):
        raise ConfigurationError("servers: each name must be unique")
    counts = dict.fromkeys(range(1, shards + 1), 0)
    for server in servers:
        for shard in server.shards:
            counts[shard] += 1
    for problem, found in (
        ("on more than one server", [shard for shard, count in counts.items() if count > 1]),
        ("on no server", [shard for shard, count in counts.items() if count == 0]),
    ):
        if found:
            raise ConfigurationError(f"servers: shard {found[0]} is {problem}")
