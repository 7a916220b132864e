"""What differs between the stores: where the tables of a user are, and how SQLAlchemy connects there."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from ..engines.port import Config
from ..engines.postgresql.config import PostgreSQLConfig
from ..engines.postgresql.engine import check_driver
from ..engines.sqlite.config import SQLiteConfig
from ..exceptions import RefusedError


class Place(NamedTuple):
    """Where a session works.

    Attributes:
        server: The name of the server.
        shard: The number of the shard; None for the database's own schemas, or a store without shards.
    """

    server: str
    shard: int | None = None


class Store(Protocol):
    """Creates SQLAlchemy's engines for one kind of store."""

    has_prefix: bool
    """Whether the names of the package's tables begin with ``package.``."""

    def locate(self, sub: str | None) -> Place:
        """Returns where the tables of a user are, or those that belong to no user.

        Raises:
            RefusedError: ``sub`` is missing on a store with many servers, or there is no such shard.
            UnavailableError: A server does not answer.
        """

    async def alocate(self, sub: str | None) -> Place:
        """See ``locate``."""

    def engine(self, server: str, *, allow_writes: bool, is_pooled: bool = True) -> Engine:
        """Returns a new engine.

        Args:
            server: The name of the server.
            allow_writes: Whether its connections may write to the package's tables.
            is_pooled: Whether it keeps connections.
        """

    def async_engine(self, server: str, *, allow_writes: bool) -> AsyncEngine:
        """Returns a new engine for asyncio."""

    def options(self, place: Place) -> dict[str, Any]:
        """Returns the execution options of connections that work in a place."""

    def enter(self, connection: Connection) -> None:
        """Prepares a transaction that has just started on a connection with these options.

        Raises:
            ShardMovedError: The shard is on another server by now.
        """

    def supports_two_phases(self, connection: Connection) -> bool:
        """Returns whether transactions can be prepared."""

    def forget(self) -> None:
        """Locates shards again before the next use."""

    def before_fork(self, engines: list[Engine]) -> None:
        """Prepares engines for a fork."""

    def close(self) -> None:
        """Closes what ``locate`` opened."""

    async def aclose(self) -> None:
        """Closes what ``alocate`` opened in the running loop."""


def store_of(config: Config) -> Store:
    """Returns the store of a configuration.

    Raises:
        RefusedError: It is not a SQLite file or PostgreSQL.
        ConfigurationError: psycopg is not installed, or a connection string is invalid.
    """
    if isinstance(config, PostgreSQLConfig):
        check_driver(config)
        from .postgresql import PostgreSQLStore

        return PostgreSQLStore(config)
    if isinstance(config, SQLiteConfig) and config.path is not None:
        from .sqlite import SQLiteStore

        return SQLiteStore(config, config.path)
    raise RefusedError(
        f"tables and sessions need a SQLite file or PostgreSQL, and the instance is on {config.location}",
        code="NotSQL",
    )
