"""The database of this process, and databases that are opened by URL.

``get()`` and ``get_async()`` return one object each for the life of the process. Their calls work on the current
instance: the one that is selected in the current context, or else the default one. The environment is read on first
use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final

from ..engines import registry
from ..engines.port import Config
from .instance import Instance
from .lookup import Directory, SingleStore, from_environment
from .selection import Selection, selected
from .state_lock import state

# Imported on first use: a test run that only loads the pytest plugin needs neither.
if TYPE_CHECKING:
    from ..async_types import AsyncTDatabase
    from ..database import AsyncDatabase, Database
    from ..types import TConnectedDatabase, TDatabase

ConfigSource = Callable[[], Config]
DirectorySource = Callable[[], Directory]


def get() -> TDatabase:
    """Returns the database of this process; the same object every time.

    ``PACKAGE_DATABASE_INSTANCES`` is a file of instances, of which the calls use the current one (see ``instance``).
    Otherwise ``PACKAGE_DATABASE_URL`` is the URL of the store, as for ``connect``. If neither is set, ``STAGE`` must be
    ``TEST`` (a DynamoDB at http://localhost:8000, or at ``AWS_ENDPOINT_URL_DYNAMODB``) or ``PROD`` (DynamoDB on AWS).
    The environment is read by the first call that succeeds; that call opens no connection. Safe to call, and the result
    to use, from many threads at once and after a fork.

    Raises:
        ConfigurationError: ``PACKAGE_DATABASE_INSTANCES``, ``PACKAGE_DATABASE_URL``, ``STAGE``,
            ``AWS_ENDPOINT_URL_DYNAMODB`` or ``PACKAGE_DATABASE_DEADLINE`` is missing or invalid, or there is no AWS
            region.
    """
    _process.check()
    return _process.database or _process.open_database()


def get_async() -> AsyncTDatabase:
    """Returns the database of this process for asyncio; the same object every time.

    Reads the environment as ``get()`` does. Connections are opened on first use in the running loop; any number of
    loops may use the object. They are closed when their loop shuts down, or by ``aclose()``; a later call opens new
    ones. Call this function when the program starts: the first call imports modules.

    Raises:
        ConfigurationError: See ``get()``.
    """
    _process.check()
    return _process.async_database or _process.open_async_database()


def connect(url: str) -> TConnectedDatabase:
    """Returns a new database object; the caller closes it, or uses it as a context manager.

    Opens no connection before its first call. The deadline of a call and the settings of AWS come from the environment.
    Safe to use from many threads at once and after a fork.

    Args:
        url: ``dynamodb://`` is DynamoDB on AWS, found by the standard AWS chain; ``dynamodb://eu-west-1`` the same in
            this region; ``dynamodb://localhost:8000`` a local one, with dummy credentials if the environment has none.
            ``sqlite:///relative.db`` and ``sqlite:////absolute.db`` are files, created on first use; ``sqlite://`` is
            a database in memory, one per process, which outlives its connections. ``postgresql://user@host/name`` is a
            PostgreSQL server, and ``shards:///map.toml`` a file that lists several. ``broker://host:port``,
            ``nats://host/prefix`` and ``amqp://host/prefix`` are brokers.

    Raises:
        ConfigurationError: The URL is invalid or its scheme is unknown; or as ``get()``.
    """
    from ..database import open_database
    from ..model.schema import TABLES

    return open_database(registry.from_url(url, os.environ).open_engine(TABLES))


def aconnect(url: str) -> AsyncTDatabase:
    """Returns a new database object for asyncio; the caller closes it, or uses ``async with``.

    Args:
        url: See ``connect``.

    Raises:
        ConfigurationError: See ``connect``.
    """
    from ..database import open_async_database
    from ..model.schema import TABLES

    return open_async_database(registry.from_url(url, os.environ).open_async_engine(TABLES))


def instance(id: str) -> AbstractContextManager[None]:  # noqa: A002 (the term of the file)
    """Selects an instance for a block: calls of ``get()``'s and ``get_async()``'s databases work on it.

    The selection applies to the current context: to this thread or asyncio task, to tasks that it starts, to
    ``asyncio.to_thread``, and to copied contexts. A thread that the block starts does not inherit it. A call that has
    started stays on its instance. Use ``with`` in coroutines too. Do not ``yield`` in the block: a generator shares the
    context of its caller.

    Args:
        id: An id in the file ``PACKAGE_DATABASE_INSTANCES``.

    Raises:
        NotFoundError: The file does not list the id, or there is no file.
        ConfigurationError: See ``get()``.
    """
    directory().get(id)
    return Selection(id)


def instance_id() -> str | None:
    """Returns the id of the current instance: the selected one, or else the default.

    Returns:
        The id; None if no instance is selected and there is no default, or if the store is not in the file
        ``PACKAGE_DATABASE_INSTANCES``.

    Raises:
        ConfigurationError: See ``get()``.
    """
    target = selected()
    if target is None:
        return directory().default_id()
    return target if isinstance(target, str) else target.id


def instances() -> tuple[str, ...]:
    """Returns the ids of all instances in the file ``PACKAGE_DATABASE_INSTANCES``; empty if there is no file.

    Raises:
        ConfigurationError: See ``get()``.
    """
    return directory().ids()


def current() -> Instance:
    """Returns the instance on which a call of ``get()``'s database would work now.

    Raises:
        NotFoundError: The selected instance was removed from the file.
        ConfigurationError: No instance is selected, and there is no default; or see ``get()``.
    """
    return _process.current()


def selected_instance() -> Instance | None:
    """Returns the selected instance of the current context, if there is one; raises what ``current`` does."""
    return None if selected() is None else current()


def directory() -> Directory:
    """Returns the instances of this process; raises ``ConfigurationError`` as ``get()`` does."""
    return _process.directory()


@contextmanager
def use(instance: Instance) -> Iterator[None]:
    """Selects an instance that is not in the file, in the current context, and closes it at the end."""
    with Selection(instance):
        try:
            yield
        finally:
            instance.close()


def set_default(source: ConfigSource) -> None:
    """Replaces the instances of this process by one store, also for databases that were returned already.

    Args:
        source: Returns the configuration; called on first use. It may raise ``ConfigurationError``.
    """
    set_directory(lambda: SingleStore(source()))


def set_directory(source: DirectorySource) -> None:
    """Replaces the instances of this process, also for databases that were returned already.

    Args:
        source: Returns the instances; called on first use. It may raise ``ConfigurationError``.
    """
    with state.lock:
        _process.source, _process.found = source, None


@contextmanager
def replaced(source: DirectorySource) -> Iterator[None]:
    """Replaces the instances of this process for a block."""
    # A test may replace the object, and restore it after the end of the block.
    changed = _process
    before = changed.source, changed.found
    set_directory(source)
    try:
        yield
    finally:
        with state.lock:
            changed.source, changed.found = before


class _Process:
    """The state of this process: its instances and the two database objects."""

    def __init__(self, source: DirectorySource) -> None:
        self.source = source
        self.found: Directory | None = None
        self.database: Database | None = None
        self.async_database: AsyncDatabase | None = None

    def directory(self) -> Directory:
        return self.found or self._find()

    def check(self) -> None:
        """Checks the environment, unless ``use`` selected an instance."""
        if not isinstance(selected(), Instance):
            self.directory()

    def current(self) -> Instance:
        target = selected()
        if target is None:
            return self.directory().default()
        return self.directory().get(target) if isinstance(target, str) else target

    def open_database(self) -> Database:
        from ..database import Database

        with state.lock:
            if self.database is None:
                self.database = Database(  # type: ignore[abstract]
                    lambda: self.current().engine(), close=lambda: self.current().close()
                )
            return self.database

    def open_async_database(self) -> AsyncDatabase:
        from ..database import AsyncDatabase

        with state.lock:
            if self.async_database is None:
                self.async_database = AsyncDatabase(  # type: ignore[abstract]
                    lambda: self.current().async_engine(), close=lambda: self.current().aclose()
                )
            return self.async_database

    def _find(self) -> Directory:
        with state.lock:
            self.found = self.found or self.source()
            return self.found


_process: Final = _Process(lambda: from_environment(os.environ))
