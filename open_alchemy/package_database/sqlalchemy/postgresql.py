"""SQLAlchemy's engines for PostgreSQL servers, with the settings of the facade's connections."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, exc
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..core.deadline import Deadline
from ..engines import telemetry
from ..engines.postgresql.async_engine import AsyncPostgreSQLEngine
from ..engines.postgresql.config import PostgreSQLConfig
from ..engines.postgresql.connection import (
    OPTIONS,
    AsyncConnection,
    DeadlineExceededError,
    SyncConnection,
    abandon,
    connecting_until,
    is_alive,
    is_stale,
)
from ..engines.postgresql.dialect import CATALOG
from ..engines.postgresql.engine import PostgreSQLEngine
from ..engines.postgresql.errors import connection_failure_of, failure_of
from ..engines.postgresql.io_requests import Requests
from ..engines.postgresql.retry import NO_ANSWER
from ..engines.postgresql.shard_hash import schema_of
from ..engines.postgresql.shard_locations import Locations
from ..engines.postgresql.shard_map_file import Server
from ..exceptions import RefusedError, StoreError
from ..model.schema import TABLES
from .retryable_errors import ShardMovedError
from .store_interface import Place
from .write_protection import SHARD, protect

_OPTIONS: Final = {**OPTIONS, "autocommit": False}
_ENTER: Final = f"""
SELECT set_config('search_path', %s, true),
       to_regnamespace(%s) IS NOT NULL AND EXISTS (SELECT FROM {CATALOG}.shards WHERE shard = %s)
"""  # noqa: S608 (a constant)


class _SyncConnection(SyncConnection):
    """A connection that the child of a fork neither uses nor closes."""

    process: int | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self._is_inherited():
            raise psycopg.OperationalError("the connection was opened before a fork")
        return super().wait(gen, interval, timeout)

    def close(self) -> None:
        if self._is_inherited():
            abandon(self)
        else:
            super().close()

    def _is_inherited(self) -> bool:
        return self.process not in (None, os.getpid())


class PostgreSQLStore:
    """One PostgreSQL server or many.

    Args:
        config: The configuration.
    """

    has_prefix = False

    def __init__(self, config: PostgreSQLConfig) -> None:
        self._config = config
        self._servers = {server.name: server for server in config.servers}
        self._locations = Locations(config.servers, config.shards)
        self._catalogs = PostgreSQLEngine(config, TABLES)
        self._async_catalogs = AsyncPostgreSQLEngine(config, TABLES)

    def locate(self, sub: str | None) -> Place:
        """Returns the server and the shard of a user."""
        if sub is None:
            return self._unsharded()
        self._catalogs.prepare()
        with _request() as log:
            found: Place = self._catalogs.run(self._find(sub), Deadline(self._config.deadline), log)
            return found

    async def alocate(self, sub: str | None) -> Place:
        """See ``locate``."""
        if sub is None:
            return self._unsharded()
        await self._async_catalogs.prepare()
        with _request() as log:
            found: Place = await self._async_catalogs.run(self._find(sub), Deadline(self._config.deadline), log)
            return found

    def forget(self) -> None:
        """Reads the catalogs again before the next use."""
        self._locations.forget()

    def engine(self, server: str, *, allow_writes: bool, is_pooled: bool = True) -> Engine:
        """Returns a new engine with at most ``pool_max`` connections."""
        engine = create_engine(
            "postgresql+psycopg://",
            creator=partial(self._connect, self._servers[server]),
            hide_parameters=True,
            **self._pool() if is_pooled else {"poolclass": NullPool},
        )
        return _listen(engine, allow_writes=allow_writes)

    def async_engine(self, server: str, *, allow_writes: bool) -> AsyncEngine:
        """Returns a new engine with at most ``pool_max`` connections."""
        engine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=partial(self._aconnect, self._servers[server]),
            hide_parameters=True,
            **self._pool(),
        )
        _listen(engine.sync_engine, allow_writes=allow_writes)
        return engine

    def options(self, place: Place) -> dict[str, Any]:
        """Returns the option that makes transactions begin in a shard."""
        return {} if place.shard is None else {SHARD: place.shard}

    def enter(self, connection: Connection) -> None:
        """Makes unqualified names of the transaction refer to its shard."""
        shard = connection.get_execution_options().get(SHARD)
        if shard is None:
            return
        schema, failure, row = schema_of(shard), None, None
        cursor = connection.connection.cursor()
        try:
            cursor.execute(_ENTER, (schema, schema, shard))
            row = cursor.fetchone()
        except psycopg.Error as error:
            failure = failure_of(error)
        finally:
            cursor.close()
        if failure is not None:
            raise failure.to_error(f"entering shard {shard}", 1, Deadline(0))
        if row is None or not row[1]:
            raise ShardMovedError(f"shard {shard} has moved to another server", code="ShardMoved")

    def supports_two_phases(self, connection: Connection) -> bool:
        """Returns whether ``max_prepared_transactions`` allows any."""
        return connection.exec_driver_sql("SHOW max_prepared_transactions").scalar() != "0"

    def before_fork(self, engines: list[Engine]) -> None:
        """The child abandons the connections."""

    def close(self) -> None:
        """Closes the connections for the catalogs."""
        self._catalogs.close()

    async def aclose(self) -> None:
        """Closes the connections of the running loop for the catalogs."""
        await self._async_catalogs.aclose()

    def _unsharded(self) -> Place:
        if len(self._servers) > 1:
            raise RefusedError("the database is on several servers: give sub=", code="SubMissing")
        return Place(next(iter(self._servers)))

    def _find(self, sub: str) -> Requests[Place]:
        shard = yield from self._locations.shard_of(sub)
        return Place((yield from self._locations.server_of(shard)), shard)

    def _pool(self) -> dict[str, Any]:
        timeout = self._config.pool_block_timeout
        return {"pool_size": self._config.pool_max, "max_overflow": 0, "pool_timeout": timeout, "pool_use_lifo": True}

    def _connect(self, server: Server) -> _SyncConnection:
        deadline = Deadline(self._config.deadline)
        token = connecting_until.set(deadline)
        try:
            connection = _SyncConnection.connect(server.conninfo, **_OPTIONS)
        except (psycopg.Error, DeadlineExceededError) as error:
            refused = _refused(error, server, deadline)
        else:
            connection.process = os.getpid()
            return connection
        finally:
            connecting_until.reset(token)
        raise refused

    async def _aconnect(self, server: Server) -> AsyncConnection:
        deadline = Deadline(self._config.deadline)
        token = connecting_until.set(deadline)
        try:
            return await AsyncConnection.connect(server.conninfo, **_OPTIONS)
        except (psycopg.Error, DeadlineExceededError) as error:
            refused = _refused(error, server, deadline)
        finally:
            connecting_until.reset(token)
        raise refused


def _refused(error: Exception, server: Server, deadline: Deadline) -> StoreError:
    failure = connection_failure_of(error) if isinstance(error, psycopg.Error) else NO_ANSWER
    return failure.to_error(f"connecting to {server.name}", 1, deadline)


def _request() -> telemetry.Request:
    return telemetry.Request("postgresql", "locating a shard", "catalog")


def _listen(engine: Engine, *, allow_writes: bool) -> Engine:
    event.listen(engine, "checkin", _set_idle)
    event.listen(engine, "checkout", _check_alive)
    event.listen(engine, "handle_error", _remove_values)
    if not allow_writes:
        protect(engine)
    return engine


def _set_idle(_: Any, record: Any) -> None:
    if record.driver_connection is not None:
        record.driver_connection.idle_since = time.monotonic()


def _check_alive(_: Any, record: Any, __: Any) -> None:
    """Has the pool replace a connection that the server closed, or that was idle for long."""
    connection = record.driver_connection
    if not is_alive(connection) or (connection.idle_since and is_stale(connection)):
        raise exc.DisconnectionError


def _remove_values(context: ExceptionContext) -> None:
    """Removes what follows the first line of a message: DETAIL contains values of the row."""
    error = context.original_exception
    if isinstance(error, psycopg.Error) and context.sqlalchemy_exception is not None:
        message = str(error).partition("\n")[0]
        error.args = (message,)
        context.sqlalchemy_exception.args = (f"({type(error).__module__}.{type(error).__name__}) {message}",)
