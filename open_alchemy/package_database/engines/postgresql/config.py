"""The configuration of PostgreSQL, from a URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ...core.operations import Table
from ..port import DEFAULT_DEADLINE, AsyncEngine, DatabaseURLError, Engine, Environment, read_deadline
from .shard_map_file import DEFAULT_POOL_BLOCK_TIMEOUT, DEFAULT_POOL_MAX, Server

URLS: Final = ("postgresql://USER@HOST:PORT/DATABASE",)


class PostgreSQLConfig(NamedTuple):
    """The configuration of a database on PostgreSQL.

    Attributes:
        servers: The servers.
        place: Where they are, for people.
        shards: The number of shards; None where only the server stores it.
        pool_max: The most connections that a process keeps to each server.
        pool_block_timeout: The most seconds that a call waits for a connection.
        deadline: The deadline of a call in seconds.
    """

    servers: tuple[Server, ...]
    place: str
    shards: int | None = None
    pool_max: int = DEFAULT_POOL_MAX
    pool_block_timeout: float = DEFAULT_POOL_BLOCK_TIMEOUT
    deadline: float = DEFAULT_DEADLINE

    @property
    def location(self) -> str:
        """The hosts and the database, or the file of the shard map."""
        return self.place

    def open_engine(self, tables: Sequence[Table]) -> Engine:
        """Returns an engine for threads."""
        from .engine import PostgreSQLEngine

        return PostgreSQLEngine(self, tables)

    def open_async_engine(self, tables: Sequence[Table]) -> AsyncEngine:
        """Returns an engine for asyncio."""
        from .async_engine import AsyncPostgreSQLEngine

        return AsyncPostgreSQLEngine(self, tables)


def read_url(rest: str, environment: Environment) -> PostgreSQLConfig:
    """Returns the configuration of a ``postgresql`` URL, which is libpq's.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS

    Args:
        rest: The part of the URL after ``postgresql://``.
        environment: The environment variables.

    Raises:
        DatabaseURLError: The URL is invalid; the message contains no part of it.
        ConfigurationError: The deadline is invalid.
    """
    url = f"postgresql://{rest}"
    if any(character.isspace() or not character.isprintable() for character in url):
        raise DatabaseURLError("a postgresql URL contains spaces or control characters: percent-encode them")
    authority, _, path = rest.partition("?")[0].partition("/")
    place = f"postgresql://{authority.rpartition('@')[2]}/{path}"
    server = Server("postgresql", url, range(0))
    return PostgreSQLConfig((server,), place, deadline=read_deadline(environment))
