"""The one database of this process, in its two faces, and which store they talk to."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from .config import Config, from_environment

if TYPE_CHECKING:
    from .async_types import AsyncTDatabase
    from .facade import AsyncDatabase, Database
    from .types import TDatabase

_lock = threading.Lock()
_database: Database | None = None
_async_database: AsyncDatabase | None = None
_pinned_stage: str | None = None


def get() -> TDatabase:
    """Returns the database of the stage that the environment names; the same object every time.

    ``STAGE`` must be ``TEST``, a DynamoDB at http://localhost:8000 or where ``AWS_ENDPOINT_URL_DYNAMODB`` says, or
    ``PROD``, DynamoDB on AWS. The environment is read by the first call that succeeds; that call opens no connection.
    Safe to call, and the result to use, from many threads at once, and after a fork.

    Raises:
        ConfigurationError: ``STAGE``, ``AWS_ENDPOINT_URL_DYNAMODB`` or ``PACKAGE_DATABASE_DEADLINE`` is wrong, or there
            is no region.
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
    loop shuts down, or by ``aclose()``. Call it where a program starts: it loads some modules.

    Raises:
        ConfigurationError: As ``get()``.
    """
    global _async_database
    if _async_database is None:
        with _lock:
            if _async_database is None:
                _async_database = open_async_database(configure())
    return _async_database


def configure() -> Config:
    """Returns the configuration that ``get()`` would use now.

    Raises:
        ConfigurationError: As ``get()``.
    """
    pinned = {} if _pinned_stage is None else {"STAGE": _pinned_stage}
    return from_environment({**os.environ, **pinned}, find_region=_find_region)


def pin_stage(stage: str) -> None:
    """Makes the environment's ``STAGE`` count for nothing from now on: the stage is this one.

    Raises:
        ConfigurationError: ``get()`` was called already, and could not have returned the database of this stage.
    """
    global _pinned_stage
    is_other, _pinned_stage = _pinned_stage != stage, stage
    if is_other and (_database or _async_database) is not None:
        connect(configure())


def connect(config: Config) -> None:
    """Makes the one database, also where ``get()`` or ``get_async()`` has returned it already, talk to this store."""
    global _database, _async_database
    with _lock:
        opened, opened_async = open_database(config), open_async_database(config)
        if _database is None:
            _database = opened
        if _async_database is None:
            _async_database = opened_async
        _database.engine, _database.deadline = opened.engine, opened.deadline
        _async_database.engine, _async_database.deadline = opened_async.engine, opened_async.deadline


def open_database(config: Config) -> Database:
    """Returns a facade of its own, which opens no connection before its first call."""
    # Imported here, so that a test run that only loads the pytest plugin does not pay for it.
    from .engines.dynamodb.engine import DynamoDBEngine
    from .facade import Database

    return Database(DynamoDBEngine(config), deadline=config.deadline)


def open_async_database(config: Config) -> AsyncDatabase:
    """Returns a facade of its own for ``await``, which opens no connection before its first call."""
    from .engines.dynamodb.engine import AsyncDynamoDBEngine
    from .facade import AsyncDatabase

    return AsyncDatabase(AsyncDynamoDBEngine(config), deadline=config.deadline)


def _find_region() -> str | None:
    from .engines.dynamodb.boto3_wire import find_region

    return find_region()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread of the parent may have held the lock.
    os.register_at_fork(after_in_child=_renew_lock)
