"""The catalog of a server: the number of shards, the hash that selects them, and the shards on this server. No I/O."""

from __future__ import annotations

from typing import Final, NamedTuple

from ...exceptions import ConfigurationError
from ..sql.execution import StatementSteps
from ..sql.statements import Statement
from .dialect import CATALOG
from .sharding import HASH

_READ: Final = Statement(
    f"SELECT settings.shards, settings.hash, ARRAY(SELECT shard FROM {CATALOG}.shards) FROM {CATALOG}.settings"  # noqa: S608 (a constant)
)
CREATE: Final = (
    f"CREATE SCHEMA IF NOT EXISTS {CATALOG}",
    f"""CREATE TABLE IF NOT EXISTS {CATALOG}.settings
    (only_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row), shards INTEGER NOT NULL, hash TEXT NOT NULL)""",
    f"CREATE TABLE IF NOT EXISTS {CATALOG}.shards (shard INTEGER PRIMARY KEY)",
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
    """

    shards: int
    located: frozenset[int]


def read() -> StatementSteps[ServerCatalog]:
    """Reads the catalog.

    Raises:
        ConfigurationError: The database was created with another hash.
    """
    ((shards, hash_, located),) = yield _READ
    if hash_ != HASH:
        raise ConfigurationError(f"the database was created with the hash {hash_!r}: a newer version of the package")
    return ServerCatalog(shards, frozenset(located))


def store_settings(shards: int) -> Statement:
    """Returns the statement that stores the settings, where none are stored."""
    return Statement(
        f"INSERT INTO {CATALOG}.settings (shards, hash) VALUES (%s, %s) ON CONFLICT DO NOTHING",  # noqa: S608 (a constant)
        (shards, HASH),
    )


def add_shard(shard: int) -> Statement:
    """Returns the statement that records a shard on the server."""
    return Statement(f"INSERT INTO {CATALOG}.shards VALUES (%s) ON CONFLICT DO NOTHING", (shard,))  # noqa: S608 (a constant)
