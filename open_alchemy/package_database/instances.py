"""The database of this process, and databases that are opened by URL.

``get()`` and ``get_async()`` return one object each for the life of the process. Their calls work on the current
instance: the one that ``use`` selected, or else the default one, whose configuration is read on first use.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from .engines import fork, registry
from .engines.port import AsyncEngine, Config, Engine

# Imported on first use: a test run that only loads the pytest plugin needs neither.
if TYPE_CHECKING:
    from .async_types import AsyncTDatabase
    from .database import AsyncDatabase, Database
    from .types import TConnectedDatabase, TDatabase

ConfigSource = Callable[[], Config]


class Resource(Protocol):
    """Holds connections of an instance."""

    def close(self) -> None:
        """Closes the connections; those in use are closed when they are released."""

    async def aclose(self) -> None:
        """Closes the connections, and waits for those of the running loop."""


ResourceType = TypeVar("ResourceType", bound=Resource)


def get() -> TDatabase:
    """Returns the database of this process; the same object every time.

    ``PACKAGE_DATABASE_URL`` is the URL of the store, as for ``connect``. If it is not set, ``STAGE`` must be ``TEST``
    (a DynamoDB at http://localhost:8000, or at ``AWS_ENDPOINT_URL_DYNAMODB``) or ``PROD`` (DynamoDB on AWS). The
    environment is read by the first call that succeeds; that call opens no connection. Safe to call, and the result to
    use, from many threads at once and after a fork.

    Raises:
        ConfigurationError: ``PACKAGE_DATABASE_URL``, ``STAGE``, ``AWS_ENDPOINT_URL_DYNAMODB`` or
            ``PACKAGE_DATABASE_DEADLINE`` is missing or invalid, or there is no AWS region.
    """
    _process.current()
    return _process.database or _process.open_database()


def get_async() -> AsyncTDatabase:
    """Returns the database of this process for asyncio; the same object every time.

    Reads the environment as ``get()`` does. Connections are opened on first use in the running loop; any number of
    loops may use the object. They are closed when their loop shuts down, or by ``aclose()``; a later call opens new
    ones. Call this function when the program starts: the first call imports modules.

    Raises:
        ConfigurationError: See ``get()``.
    """
    _process.current()
    return _process.async_database or _process.open_async_database()


def connect(url: str) -> TConnectedDatabase:
    """Returns a database of the caller's own; close it, or use it as a context manager.

    Opens no connection before its first call. The deadline of a call and the settings of AWS come from the environment.
    Safe to use from many threads at once and after a fork.

    Args:
        url: ``dynamodb://`` is DynamoDB on AWS, found by the standard AWS chain; ``dynamodb://eu-west-1`` the same in
            this region; ``dynamodb://localhost:8000`` a local one, with dummy credentials if the environment has none.
            ``sqlite:///relative.db`` and ``sqlite:////absolute.db`` are files, created on first use; ``sqlite://`` is
            a database in memory, one per process, which outlives its connections. ``postgresql://user@host/name`` is a
            PostgreSQL server, and ``shards:///map.toml`` the file that lists many.

    Raises:
        ConfigurationError: The URL is invalid or its scheme is unknown; or as ``get()``.
    """
    from .database import open_database
    from .model.schema import TABLES

    return open_database(registry.from_url(url, os.environ).open_engine(TABLES))


def aconnect(url: str) -> AsyncTDatabase:
    """Returns a database of the caller's own for asyncio; close it, or use ``async with``.

    Args:
        url: See ``connect``.

    Raises:
        ConfigurationError: See ``connect``.
    """
    from .database import open_async_database
    from .model.schema import TABLES

    return open_async_database(registry.from_url(url, os.environ).open_async_engine(TABLES))


class Instance:
    """A configured store with its two engines, each created on first use.

    Attributes:
        config: The configuration.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._engine: Engine | None = None
        self._async_engine: AsyncEngine | None = None
        self._resources: dict[Callable[[Config], Any], Any] = {}

    def engine(self) -> Engine:
        """Returns the engine for threads."""
        engine = self._engine
        if engine is None:
            from .model.schema import TABLES

            with _process.lock:
                engine = self._engine = self._engine or self.config.open_engine(TABLES)
        return engine

    def async_engine(self) -> AsyncEngine:
        """Returns the engine for asyncio."""
        engine = self._async_engine
        if engine is None:
            from .model.schema import TABLES

            with _process.lock:
                engine = self._async_engine = self._async_engine or self.config.open_async_engine(TABLES)
        return engine

    def resource(self, create: Callable[[Config], ResourceType]) -> ResourceType:
        """Returns what a function creates for this instance: on first use, and closed with the engines."""
        found = self._resources.get(create)
        if found is None:
            with _process.lock:
                found = self._resources.get(create) or self._resources.setdefault(create, create(self.config))
        resource: ResourceType = found
        return resource

    def close(self) -> None:
        """Closes the engine for threads and all resources; the next call creates others."""
        with _process.lock:
            engine, self._engine = self._engine, None
            resources, self._resources = self._resources, {}
        for resource in resources.values():
            resource.close()
        if engine is not None:
            engine.close()

    async def aclose(self) -> None:
        """Closes the engine for asyncio and all resources; the next call creates others."""
        with _process.lock:
            engine, self._async_engine = self._async_engine, None
            resources, self._resources = self._resources, {}
        for resource in resources.values():
            await resource.aclose()
        if engine is not None:
            await engine.aclose()


def current() -> Instance:
    """Returns the instance on which a call of ``get()``'s database would work now.

    Raises:
        ConfigurationError: See ``get()``.
    """
    return _process.current()


def selected() -> Instance | None:
    """Returns the instance that ``use`` selected in the current context, if it did."""
    return _selected.get()


@contextmanager
def use(instance: Instance) -> Iterator[None]:
    """Selects an instance in the current context, for threads and tasks that copy it too; closes it at the end."""
    token = _selected.set(instance)
    try:
        yield
    finally:
        _selected.reset(token)
        instance.close()


def set_default(source: ConfigSource) -> None:
    """Replaces how the default instance is configured, also for databases that were returned already.

    Args:
        source: Returns the configuration; called on first use. It may raise ``ConfigurationError``.
    """
    with _process.lock:
        _process.source, _process.default = source, None


class _Process:
    """The state of this process: the default instance and the two database objects."""

    def __init__(self, source: ConfigSource) -> None:
        self.source = source
        self.default: Instance | None = None
        self.database: Database | None = None
        self.async_database: AsyncDatabase | None = None
        self.after_fork_in_child()
        fork.register(self)

    def current(self) -> Instance:
        return _selected.get() or self.default or self._open_default()

    def open_database(self) -> Database:
        from .database import Database

        with self.lock:
            if self.database is None:
                self.database = Database(  # type: ignore[abstract]
                    lambda: self.current().engine(), close=lambda: self.current().close()
                )
            return self.database

    def open_async_database(self) -> AsyncDatabase:
        from .database import AsyncDatabase

        with self.lock:
            if self.async_database is None:
                self.async_database = AsyncDatabase(  # type: ignore[abstract]
                    lambda: self.current().async_engine(), close=lambda: self.current().aclose()
                )
            return self.async_database

    def _open_default(self) -> Instance:
        with self.lock:
            self.default = self.default or Instance(self.source())
            return self.default

    def before_fork(self, end: float) -> None:
        """Nothing to prepare: the child replaces the lock."""

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread of the parent may have held."""
        # Reentrant: a signal handler may interrupt a holder and call get().
        self.lock = threading.RLock()


_selected: Final[ContextVar[Instance | None]] = ContextVar("package_database_instance", default=None)
_process: Final = _Process(lambda: registry.from_environment(os.environ))
