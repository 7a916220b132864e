"""The SQL database of an instance: its tables and its sessions."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import MetaData, Table, exc
from sqlalchemy.ext.asyncio import AsyncSession
from transaction import TransactionManager

from ..engines import fork
from ..engines.port import Config
from ..exceptions import NotFoundError
from .engine_cache import Pools
from .retryable_errors import ShardMovedError
from .sessions import StoreSession, TransactionSession, joined
from .store_interface import Place, store_of
from .tables import metadata, package_tables


class SQLDatabase:
    """The tables and sessions of one instance.

    Args:
        config: The configuration of the instance.

    Attributes:
        connections: The connections.

    Raises:
        RefusedError: The instance is not on a SQLite file or on PostgreSQL.
    """

    def __init__(self, config: Config) -> None:
        self._store = store_of(config)
        self.connections = Pools(self._store)
        self._package_tables = package_tables(has_prefix=self._store.has_prefix)
        self._tables: dict[str, Table] = {}
        self._metadata = MetaData()
        self.after_fork_in_child()
        fork.register(self)

    def table(self, name: str, sub: str | None) -> Table:
        """Returns a table; reflects it once."""
        place = self._store.locate(sub)
        found = metadata.tables.get(name)
        if found is None:
            found = self._package_tables.get(name)
        if found is None:
            found = self._tables.get(name)
        return self._reflect(name, place) if found is None else found

    def session(self, sub: str | None, manager: TransactionManager, *, allow_writes: bool) -> TransactionSession:
        """Returns the session that has joined the manager's transaction."""
        place = self._store.locate(sub)
        try:
            return self._session(place, manager, allow_writes=allow_writes)
        except ShardMovedError:
            self._store.forget()
        return self._session(self._store.locate(sub), manager, allow_writes=allow_writes)

    @asynccontextmanager
    async def async_session(self, sub: str | None, *, allow_writes: bool) -> AsyncIterator[AsyncSession]:
        """Opens a session for asyncio, and closes it at the end."""
        try:
            session = await self._async_session(sub, allow_writes=allow_writes)
        except ShardMovedError:
            self._store.forget()
            session = await self._async_session(sub, allow_writes=allow_writes)
        async with session:
            yield session

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Replaces the lock."""
        self._reflecting = threading.RLock()

    def _session(self, place: Place, manager: TransactionManager, *, allow_writes: bool) -> TransactionSession:
        found = self.connections.engine(place.server, allow_writes=allow_writes)
        engine = found.engine.execution_options(**self._store.options(place))

        def create() -> TransactionSession:
            session = TransactionSession(engine, enter=self._store.enter, twophase=found.supports_two_phases())
            if place.shard is not None:
                # Before it joins, so that it can be located again.
                try:
                    session.connection()
                except BaseException:
                    session.close()
                    raise
            return session

        return joined(manager, (self, place, allow_writes), create)

    async def _async_session(self, sub: str | None, *, allow_writes: bool) -> AsyncSession:
        place = await self._store.alocate(sub)
        engine = await self.connections.async_engine(place.server, allow_writes=allow_writes)
        session = AsyncSession(
            engine.execution_options(**self._store.options(place)),
            sync_session_class=StoreSession,
            expire_on_commit=False,
            enter=self._store.enter,
        )
        if place.shard is not None:
            try:
                await session.connection()
            except BaseException:
                await session.close()
                raise
        return session

    def _reflect(self, name: str, place: Place) -> Table:
        schema, _, relation = ("", "", name) if self._store.has_prefix else name.rpartition(".")
        # Not from the pool: the sessions that wait for this table may have all of its connections.
        with self._reflecting:
            if name in self._tables:
                return self._tables[name]
            engine = self._store.engine(place.server, allow_writes=False, is_pooled=False)
            try:
                with engine.execution_options(**self._store.options(place)).connect() as connection:
                    connection.begin()
                    self._store.enter(connection)
                    table = Table(relation, self._metadata, schema=schema or None, autoload_with=connection)
            except exc.NoSuchTableError:
                raise NotFoundError(f"the database has no table {name}") from None
            self._tables[name] = table
            return table
