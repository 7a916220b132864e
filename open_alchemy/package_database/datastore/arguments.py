"""The arguments of a datastore, checked before any I/O. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from ..engines.postgresql.config import PostgreSQLConfig
from ..engines.postgresql.shard_hash import MAX_SHARDS
from ..engines.postgresql.shard_map_file import Server, parse_range
from ..exceptions import ConfigurationError, ValidationError
from .key import Key

_MAX_KIND: Final = 2**31 - 1
_ALIASES: Final = {"database": "dbname"}
"""psycopg2's names of libpq's parameters."""


def read_connections(
    connections: object, pool_max: object, pool_block_timeout: object, *, deadline: float
) -> PostgreSQLConfig:
    """Returns the configuration that the arguments of a datastore describe.

    Raises:
        ConfigurationError: An argument is invalid; the message names it, and shows no parameter of a connection.
    """
    if isinstance(pool_max, bool) or not isinstance(pool_max, int) or pool_max < 1:
        raise ConfigurationError("pool_max must be an int of at least 1")
    if isinstance(pool_block_timeout, bool) or not isinstance(pool_block_timeout, int | float):
        raise ConfigurationError("pool_block_timeout must be a number of seconds")
    if not 0 < pool_block_timeout < math.inf:
        raise ConfigurationError("pool_block_timeout must be above 0")
    if not isinstance(connections, Sequence) or isinstance(connections, str | bytes) or not connections:
        raise ConfigurationError("connections must be a list of at least one dict")
    servers = tuple(_server(f"connections[{place}]", given) for place, given in enumerate(connections))
    seen: set[int] = set()
    for server in servers:
        if not seen.isdisjoint(server.shards):
            raise ConfigurationError(f"{server.name}['shards'] overlaps with those of another connection")
        seen.update(server.shards)
    return PostgreSQLConfig(
        servers,
        f"{len(servers)} servers",
        pool_max=pool_max,
        pool_block_timeout=float(pool_block_timeout),
        deadline=deadline,
    )


def _server(name: str, given: object) -> Server:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{name} must be a dict")
    shards = parse_range(given.get("shards"), MAX_SHARDS)
    if shards is None:
        raise ConfigurationError(
            f"{name}['shards'] must be 'FIRST-END' with 1 <= FIRST < END <= {MAX_SHARDS + 1}; END is not included"
        )
    parts: list[str] = []
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str | int | None) or isinstance(value, bool):
            raise ConfigurationError(f"{name}[{key!r}] must be a str or an int")
        if key != "shards" and value is not None:
            escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
            parts.append(f"{_ALIASES.get(key, key)}='{escaped}'")
    return Server(name, " ".join(parts), shards)


def check_shard(shard_id: object, known: frozenset[int] | None) -> int:
    """Returns the number of a shard.

    Args:
        shard_id: The argument.
        known: The shards of the datastore; None if only the servers store them.

    Raises:
        ValidationError: It is not a shard.
    """
    if isinstance(shard_id, bool) or not isinstance(shard_id, int) or not 1 <= shard_id <= MAX_SHARDS:
        raise ValidationError(f"shard_id must be an int from 1 to {MAX_SHARDS}")
    if known is not None and shard_id not in known:
        raise ValidationError(f"shard_id {shard_id} is in none of the connections")
    return int(shard_id)


def check_kind(kind: object) -> int:
    """Returns the kind of an entity; raises ``ValidationError`` if it is none."""
    if isinstance(kind, bool) or not isinstance(kind, int) or not -_MAX_KIND <= kind <= _MAX_KIND:
        raise ValidationError(f"kind must be an int from -{_MAX_KIND} to {_MAX_KIND}")
    return int(kind)


def check_data(data: Mapping[str, object]) -> dict[str, str | None]:
    """Returns the data of an entity; raises ``ValidationError``, without a value, if hstore cannot store it."""
    checked: dict[str, str | None] = {}
    for name, value in data.items():
        if value is not None and not isinstance(value, str):
            raise ValidationError(f"{name!r} must be a str or None")
        for text in (name, value or ""):
            if "\0" in text or not _is_unicode(text):
                raise ValidationError(f"{name!r} must be valid Unicode without null characters, as its value")
        checked[name] = None if value is None else str.__str__(value)
    return checked


def check_key(key: object) -> Key:
    """Returns a key; raises ``ValidationError`` if it is none."""
    if not isinstance(key, Key):
        raise ValidationError("key must be a Key")
    return key


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
