"""The SQL database of an instance: its engines, its tables and its sessions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, MetaData, Table, event, exc
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from transaction import TransactionManager

from ..engines import fork
from ..engines.port import Config
from ..exceptions import NotFoundError
from .errors import ShardMovedError
from .sessions import TransactionSession, joined
from .stores import Place, store_of
from .tables import metadata, package_tables

_inherited: Final[list[object]] = []
"""The engines of the parent process, whose connections must not be closed in the child."""


class SQLDatabase:
    """The engines of one instance, each created on first use.

    Args:
        config: The configuration of the instance.

    Raises:
        RefusedError: The instance is not on a SQLite file or on PostgreSQL.
    """

    def __init__(self, config: Config) -> None:
        self._store = store_of(config)
        self._package_tables = package_tables(has_prefix=self._store.has_prefix)
        self._tables: dict[str, Table] = {}
        self._metadata = MetaData()
        self._engines: dict[tuple[str, bool], _Engine] = {}
        self._async_engines: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopEngines] = WeakKeyDictionary()
        self._create_locks()
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

    def close(self) -> None:
        """Closes the connections. Those in use are closed when their sessions end; loops close their own."""
        with self._lock:
            engines, self._engines = self._engines, {}
        for engine in engines.values():
            engine.retire()
        for loop, found in list(self._async_engines.items()):
            found.close_in(loop)
        self._store.close()

    async def aclose(self) -> None:
        """Closes the connections, and waits for those of the running loop."""
        found = self._async_engines.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found.aclose()
        await self._store.aclose()
        self.close()

    def before_fork(self, end: float) -> None:
        """Closes idle connections where the child could damage the store."""
        del end
        self._store.before_fork([found.engine for found in tuple(self._engines.values())])

    def after_fork_in_child(self) -> None:
        """Drops all connections without closing them."""
        for found in self._engines.values():
            _inherited.append(found.engine.pool)
            found.engine.dispose(close=False)
        _inherited.extend(self._async_engines.values())
        self._async_engines = WeakKeyDictionary()
        self._create_locks()

    def _create_locks(self) -> None:
        self._lock = threading.Lock()
        self._reflecting = threading.RLock()

    def _session(self, place: Place, manager: TransactionManager, *, allow_writes: bool) -> TransactionSession:
        found = self._engine(place.server, allow_writes=allow_writes)
        engine = found.engine.execution_options(**self._store.options(place))

        def create() -> TransactionSession:
            return TransactionSession(engine, twophase=found.supports_two_phases())

        session = joined(manager, (self, place, allow_writes), create)
        if place.shard is not None:
            session.connection()
        return session

    async def _async_session(self, sub: str | None, *, allow_writes: bool) -> AsyncSession:
        place = await self._store.alocate(sub)
        engine = await self._async_engine(place.server, allow_writes=allow_writes)
        session = AsyncSession(engine.execution_options(**self._store.options(place)), expire_on_commit=False)
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
                    table = Table(relation, self._metadata, schema=schema or None, autoload_with=connection)
            except exc.NoSuchTableError:
                raise NotFoundError(f"the database has no table {name}") from None
            self._tables[name] = table
            return table

    def _engine(self, server: str, *, allow_writes: bool) -> _Engine:
        key = (server, allow_writes)
        found = self._engines.get(key)
        if found is None:
            with self._lock:
                found = self._engines.get(key)
                if found is None:
                    found = self._engines[key] = _Engine(
                        self._store.engine(server, allow_writes=allow_writes), self._store.supports_two_phases
                    )
        return found

    async def _async_engine(self, server: str, *, allow_writes: bool) -> AsyncEngine:
        loop = asyncio.get_running_loop()
        engines = self._async_engines.get(loop)
        if engines is None:
            engines = self._async_engines[loop] = _LoopEngines()
            await engines.start()
        return engines.get((server, allow_writes), lambda: self._store.async_engine(server, allow_writes=allow_writes))


class _Engine:
    """An engine whose connections are closed when they are returned, once it is retired."""

    def __init__(self, engine: Engine, supports_two_phases: Callable[[Any], bool]) -> None:
        self.engine = engine
        self._is_retired = False
        self._read_two_phases = supports_two_phases
        self._two_phases: bool | None = None
        event.listen(engine, "checkin", self._checkin)

    def supports_two_phases(self) -> bool:
        """Returns whether transactions can be prepared; asks the server once."""
        if self._two_phases is None:
            with self.engine.connect() as connection:
                self._two_phases = self._read_two_phases(connection)
        return self._two_phases

    def retire(self) -> None:
        """Closes the idle connections now, and the others when they are returned."""
        self._is_retired = True
        self.engine.dispose()

    def _checkin(self, _: Any, record: Any) -> None:
        if self._is_retired:
            record.invalidate()


class _LoopEngines:
    """The engines of one event loop, which closes them when it shuts down."""

    def __init__(self) -> None:
        self._engines: dict[tuple[str, bool], AsyncEngine] = {}
        self._at_shutdown: AsyncGenerator[None] = self._dispose_at_shutdown()
        self._closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Registers the engines with the running loop."""
        await anext(self._at_shutdown)

    def get(self, key: tuple[str, bool], create: Callable[[], AsyncEngine]) -> AsyncEngine:
        """Returns an engine; creates it on first use."""
        found = self._engines.get(key)
        if found is None:
            found = self._engines[key] = create()
        return found

    async def aclose(self) -> None:
        """Closes the idle connections."""
        await self._at_shutdown.aclose()

    def close_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has the loop close the connections, from any thread."""
        # A closed loop has closed them.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._start_closing)

    def _start_closing(self) -> None:
        self._closing = asyncio.get_running_loop().create_task(self.aclose())

    async def _dispose_at_shutdown(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            while self._engines:
                await self._engines.popitem()[1].dispose()
