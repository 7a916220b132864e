"""SQLAlchemy's engines for a SQLite file."""

from __future__ import annotations

import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiosqlite
from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ..engines.sqlite.config import SQLiteConfig
from ..engines.sqlite.database_file import connect_to_file
from ..engines.sqlite.errors import is_transient, translate
from ..exceptions import RefusedError
from ..model.schema import TABLES
from .retryable_errors import RetryError
from .store_interface import Place

_FILE: Final = "file"
_POOL: Final[dict[str, Any]] = {"pool_size": 16, "max_overflow": -1}
"""16 idle connections are kept; the number of those in use is not limited."""
_OWN: Final = frozenset(table.name for table in TABLES)
_ALLOWED: Final = frozenset(
    {sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_TRANSACTION}
)
"""Actions that change nothing, and whose arguments may be names of tables."""
_inherited: Final[list[object]] = []
"""Connections of the parent: closing one in the child could damage the file."""


class _Connection(sqlite3.Connection):
    """A connection that refuses to be used in the child of a fork."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._process = os.getpid()

    def commit(self) -> None:
        self._check()
        super().commit()

    def rollback(self) -> None:
        self._check()
        super().rollback()

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        self._check()
        return super().cursor(*arguments, **options)

    def close(self) -> None:
        if self._process == os.getpid():
            super().close()
        else:
            _inherited.append(self)

    def _check(self) -> None:
        if self._process != os.getpid():
            _inherited.append(self)
            raise sqlite3.ProgrammingError("the connection was opened before a fork")


class _Pool(QueuePool):
    """A pool that keeps no connection once it is disposed of.

    SQLAlchemy's keeps those that are returned later until the garbage collector deletes the pool.
    """

    _is_disposed = False

    def dispose(self) -> None:
        self._is_disposed = True
        super().dispose()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        # Afterwards, because another thread may dispose of the pool in between.
        if self._is_disposed:
            super().dispose()


class SQLiteStore:
    """A SQLite file. It has no shards, so all users have the same tables.

    Args:
        config: The configuration.
        path: The path of the file.
    """

    has_prefix = True

    def __init__(self, config: SQLiteConfig, path: Path) -> None:
        self._config = config
        self._path = Path(os.path.realpath(path))

    def locate(self, sub: str | None) -> Place:
        """Returns the file."""
        del sub
        return Place(_FILE)

    async def alocate(self, sub: str | None) -> Place:
        """Returns the file."""
        return self.locate(sub)

    def engine(self, server: str, *, allow_writes: bool, is_pooled: bool = True) -> Engine:
        """Returns a new engine; creates the file where it is missing."""
        del server
        self._prepare()
        engine = create_engine(
            URL.create("sqlite", database=str(self._path)),
            creator=partial(self._connect, allow_writes=allow_writes),
            hide_parameters=True,
            **{"poolclass": _Pool, **_POOL} if is_pooled else {"poolclass": NullPool},
        )
        return _listen(engine)

    def async_engine(self, server: str, *, allow_writes: bool) -> AsyncEngine:
        """Returns a new engine; each of its connections has a thread, which aiosqlite starts."""
        del server
        self._prepare()

        async def connect() -> aiosqlite.Connection:
            return await aiosqlite.Connection(partial(self._connect, allow_writes=allow_writes), iter_chunk_size=64)

        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(self._path)),
            async_creator=connect,
            hide_parameters=True,
            **_POOL,
        )
        _listen(engine.sync_engine)
        return engine

    def options(self, place: Place) -> dict[str, Any]:
        """Returns none."""
        del place
        return {}

    def enter(self, connection: Connection) -> None:
        """Nothing to prepare."""

    def supports_two_phases(self, connection: Connection) -> bool:
        """SQLite does not."""
        del connection
        return False

    def forget(self) -> None:
        """A file does not move."""

    def before_fork(self, engines: list[Engine]) -> None:
        """Closes the idle connections: no connection may be open in two processes."""
        for engine in engines:
            engine.dispose()

    def close(self) -> None:
        """Nothing was opened."""

    async def aclose(self) -> None:
        """Nothing was opened."""

    def _prepare(self) -> None:
        engine = self._config.open_engine(TABLES)
        try:
            engine.prepare()
        finally:
            engine.close()

    def _connect(self, *, allow_writes: bool) -> sqlite3.Connection:
        try:
            connection = connect_to_file(self._path, _Connection)
        except sqlite3.Error as error:
            raise translate(error, f"opening {self._path}", attempts=1, seconds=0.0) from error
        connection.execute(f"PRAGMA busy_timeout = {round(self._config.deadline * 1000)}")
        if not allow_writes:
            connection.set_authorizer(_authorize)
        return connection


def _authorize(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    """Denies whatever changes the package's tables; SQLite calls it when it compiles a statement or a trigger.

    https://www.sqlite.org/c3ref/c_alter_table.html
    """
    del database, trigger
    if action in _ALLOWED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        is_change = str(first).lower() in ("writable_schema", "user_version", "application_id") and second is not None
        return sqlite3.SQLITE_DENY if is_change else sqlite3.SQLITE_OK
    is_own = any(name is not None and name.lower() in _OWN for name in (first, second))
    return sqlite3.SQLITE_DENY if is_own else sqlite3.SQLITE_OK


def _listen(engine: Engine) -> Engine:
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _translate)
    return engine


def _begin(connection: Connection) -> None:
    """Starts a transaction before the first statement; the driver starts none."""
    cursor = connection.connection.cursor()
    cursor.execute("BEGIN")
    cursor.close()


def _translate(context: ExceptionContext) -> None:
    """Replaces the errors of locks and of protected tables."""
    error = context.original_exception
    if not isinstance(error, sqlite3.Error):
        return
    if is_transient(error):
        raise RetryError("another transaction has the file locked", code="SQLITE_BUSY") from error
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_AUTH:
        raise RefusedError(
            "the package's tables are read-only in this session; allow_writes=True allows writes", code="ReadOnly"
        ) from error
