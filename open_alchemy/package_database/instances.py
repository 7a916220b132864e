"""The one database of this process, in its two faces, which store they talk to, and databases beside it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .engines import registry
from .engines.config import Config

if TYPE_CHECKING:
    from .async_types import AsyncTDatabase
    from .database import AsyncDatabase, Database
    from .types import TConnectedDatabase, TDatabase

_lock = threading.Lock()
_database: Database | None = None
_async_database: AsyncDatabase | None = None
_pinned_stage: str | None = None
_config: Config | None = None
"""Of ``at``."""


def get() -> TDatabase:
    """Returns the database that the environment names; the same object every time.

    ``PACKAGE_DATABASE_URL`` is the URL of the store, as for ``connect``. Where it is unset, ``STAGE`` must be ``TEST``,
    a DynamoDB at http://localhost:8000 or where ``AWS_ENDPOINT_URL_DYNAMODB`` says, or ``PROD``, DynamoDB on AWS. The
    environment is read by the first call that succeeds; that call opens no connection. Safe to call, and the result to
    use, from many threads at once, and after a fork.

    Raises:
        ConfigurationError: ``PACKAGE_DATABASE_URL``, ``STAGE``, ``AWS_ENDPOINT_URL_DYNAMODB`` or
            ``PACKAGE_DATABASE_DEADLINE`` is wrong, or there is no region.
    """
    global _database
    if _database is None:
        with _lock:
            if _database is None:
                _database = open_database(configure())
    return _database


def get_async() -> AsyncTDatabase:
    """Returns the database for ``await``; the same object every time.

    It is what ``get()`` returns with coroutines for functions: see there for the environment. It opens connections on
    first use, in the running loop, which goes on meanwhile, and serves any number of loops. They are closed when the
    loop shuts down, or by ``aclose()``; those to a SQLite file, which all loops share, by ``aclose()`` alone. Call it
    where a program starts: it loads some modules.

    Raises:
        ConfigurationError: As ``get()``.
    """
    global _async_database
    if _async_database is None:
        with _lock:
            if _async_database is None:
                _async_database = open_async_database(configure())
    return _async_database


def connect(url: str) -> TConnectedDatabase:
    """Returns a database of its own beside that of ``get()``; close it, or use it as a context manager.

    Opens no connection before its first call. The deadline of a call, and for ``dynamodb`` what AWS needs, comes from
    the environment. Safe to use from many threads at once, and after a fork.

    Args:
        url: ``dynamodb://`` is DynamoDB on AWS, as the standard AWS chain finds it; ``dynamodb://eu-west-1`` in this
            region; ``dynamodb://localhost:8000`` a local one, with dummy credentials where the environment has none.
            ``sqlite:///relative.db`` and ``sqlite:////absolute.db`` are files, made where there are none; ``sqlite://``
            is the one store in memory that the process has, the same for all who open it, and kept when they close it.

    Raises:
        ConfigurationError: The URL cannot be read or its scheme is unknown; or as ``get()``.
    """
    return open_database(registry.from_url(url, os.environ))


def aconnect(url: str) -> AsyncTDatabase:
    """Returns a database of its own for ``await``, beside that of ``get_async()``; close it, or use ``async with``.

    Args:
        url: As for ``connect``.

    Raises:
        ConfigurationError: As ``connect()``.
    """
    return open_async_database(registry.from_url(url, os.environ))


def configure() -> Config:
    """Returns the configuration that ``get()`` would use now.

    Raises:
        ConfigurationError: As ``get()``.
    """
    if _config is not None:
        return _config
    # A test run never opens the URL that the environment happens to have.
    pinned = {} if _pinned_stage is None else {"STAGE": _pinned_stage, registry.URL_VARIABLE: ""}
    return registry.from_environment({**os.environ, **pinned})


def chosen() -> Config | None:
    """Returns the configuration of the store that ``at`` has chosen, if it has."""
    return _config


def pin_stage(stage: str) -> None:
    """Makes the environment's ``STAGE`` and ``PACKAGE_DATABASE_URL`` count for nothing: the stage is this one.

    Raises:
        ConfigurationError: ``get()`` was called already, and could not have returned the database of this stage.
    """
    global _pinned_stage
    is_other, _pinned_stage = _pinned_stage != stage, stage
    if is_other and (_database or _async_database) is not None:
        config = configure()
        redirect(open_database(config), open_async_database(config))


def redirect(database: Database, async_database: AsyncDatabase) -> None:
    """Makes the one database, also where ``get()`` or ``get_async()`` has returned it already, talk to another store.

    Args:
        database: Its blocking face on the other store.
        async_database: Its awaiting face on the other store.
    """
    global _database, _async_database
    with _lock:
        _database, _async_database = _database or database, _async_database or async_database
        _database.engine, _database.deadline = database.engine, database.deadline
        _async_database.engine, _async_database.deadline = async_database.engine, async_database.deadline


@contextmanager
def at(url: str) -> Iterator[None]:
    """Makes ``get()`` and ``configure()`` mean the store at a URL while the context is open; for the command alone.

    Raises:
        ConfigurationError: As ``connect()``.
    """
    global _database, _config
    before = _database, _config
    config = registry.from_url(url, os.environ)
    _config = config
    _database = opened = open_database(config)
    try:
        yield
    finally:
        _database, _config = before
        opened.close()


def open_database(config: Config) -> Database:
    """Returns a facade of its own, which opens no connection before its first call."""
    # Imported here, so that a test run that only loads the pytest plugin does not pay for it.
    from .database import Database

    return Database(registry.open_engine(config), deadline=config.deadline)


def open_async_database(config: Config) -> AsyncDatabase:
    """Returns a facade of its own for ``await``, which opens no connection before its first call."""
    from .database import AsyncDatabase

    return AsyncDatabase(registry.open_async_engine(config), deadline=config.deadline)


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread of the parent may have held the lock.
    os.register_at_fork(after_in_child=_renew_lock)
