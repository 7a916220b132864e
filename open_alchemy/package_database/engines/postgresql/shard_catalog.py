"""The catalog of a server. No I/O.

It stores the number of shards, the hash that selects them, the shards on this server, and the moves from it
(``moves``) and to it (``copies``) that are unfinished.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ...exceptions import ConfigurationError
from ..sql.execution import StatementSteps
from ..sql.statements import Statement
from .dialect import CATALOG
from .shard_hash import HASH

_READ: Final = Statement(
    f"SELECT settings.shards, settings.hash, ARRAY(SELECT shard FROM {CATALOG}.shards), "  # noqa: S608 (a constant)
    f"ARRAY(SELECT shard FROM {CATALOG}.moves ORDER BY shard), "
    f"ARRAY(SELECT target FROM {CATALOG}.moves ORDER BY shard) FROM {CATALOG}.settings"
)
CREATE: Final = (
    f"CREATE SCHEMA IF NOT EXISTS {CATALOG}",
    f"""CREATE TABLE IF NOT EXISTS {CATALOG}.settings
    (only_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row), shards INTEGER NOT NULL, hash TEXT NOT NULL)""",
    f"CREATE TABLE IF NOT EXISTS {CATALOG}.shards (shard INTEGER PRIMARY KEY)",
    f"CREATE TABLE IF NOT EXISTS {CATALOG}.moves (shard INTEGER PRIMARY KEY, target TEXT NOT NULL)",
    f"CREATE TABLE IF NOT EXISTS {CATALOG}.copies (shard INTEGER PRIMARY KEY, position PG_LSN)",
    # IMMUTABLE, as an index requires: the encoding of a database never changes.
    f"""CREATE OR REPLACE FUNCTION {CATALOG}.digest(key TEXT) RETURNS BYTEA
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT sha256(convert_to(key, ''UTF8''))'""",
)
DROP: Final = f"DROP SCHEMA IF EXISTS {CATALOG} CASCADE"


class ServerCatalog(NamedTuple):
    """The catalog of one server.

    Attributes:
        shards: The number of shards of the database, on all servers.
        located: The shards on this server.
        moves: The name of the server to which an unfinished move takes a shard, by shard. The shard is still in
            ``located``, or the command will soon activate it there.
    """

    shards: int
    located: frozenset[int]
    moves: Mapping[int, str] = MappingProxyType({})


def read() -> StatementSteps[ServerCatalog]:
    """Reads the catalog.

    Raises:
        ConfigurationError: The database was created with another hash.
    """
    ((shards, hash_, located, moving, targets),) = yield _READ
    if hash_ != HASH:
        raise ConfigurationError(f"the database was created with the hash {hash_!r}: a newer version of the package")
    return ServerCatalog(shards, frozenset(located), dict(zip(moving, targets, strict=True)))


def store_settings(shards: int) -> Statement:
    """Returns the statement that stores the settings, where none are stored."""
    return Statement(
        f"INSERT INTO {CATALOG}.settings (shards, hash) VALUES (%s, %s) ON CONFLICT DO NOTHING",  # noqa: S608 (a constant)
        (shards, HASH),
    )


def add_shard(shard: int) -> Statement:
    """Returns the statement that records a shard on the server."""
    return Statement(f"INSERT INTO {CATALOG}.shards VALUES (%s) ON CONFLICT DO NOTHING", (shard,))  # noqa: S608 (a constant)
