"""The configuration of many PostgreSQL servers, from a ``shards`` URL: the path of a file that names them."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote

from ..port import DatabaseURLError, Environment, read_deadline
from .config import PostgreSQLConfig
from .shard_map_file import read_shard_map

URLS: Final = ("shards:///RELATIVE/FILE.toml", "shards:////ABSOLUTE/FILE.toml")


def read_url(rest: str, environment: Environment) -> PostgreSQLConfig:
    """Returns the configuration of a ``shards`` URL: a slash and a percent-encoded path, as for ``sqlite``.

    Args:
        rest: The part of the URL after ``shards://``.
        environment: The environment variables.

    Raises:
        DatabaseURLError: The URL is invalid.
        ConfigurationError: The file or the deadline is invalid.
    """
    if len(rest) < len("/x") or not rest.startswith("/") or "?" in rest or "#" in rest or "%00" in rest:
        raise DatabaseURLError(f"expected {URLS[0]} or {URLS[1]}")
    path = Path(unquote(rest[1:]))
    found = read_shard_map(path)
    return PostgreSQLConfig(
        found.servers,
        f"shards:///{path}",
        found.shards,
        found.pool_max,
        found.pool_block_timeout,
        deadline=read_deadline(environment),
    )
