"""The one facade of this process, and which store it talks to."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from .config import Config, from_environment

if TYPE_CHECKING:
    from .facade import Database
    from .types import TDatabase

_lock = threading.Lock()
_database: Database | None = None
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
    if is_other and _database is not None:
        connect(configure())


def connect(config: Config) -> None:
    """Makes the one facade, also where ``get()`` has returned it already, talk to this store."""
    global _database
    with _lock:
        opened = open_database(config)
        if _database is None:
            _database = opened
        else:
            _database.engine, _database.deadline = opened.engine, opened.deadline


def open_database(config: Config) -> Database:
    """Returns a facade of its own, which opens no connection before its first call."""
    # Imported here, so that a test run that only loads the pytest plugin does not pay for it.
    from .engines.dynamodb.engine import DynamoDBEngine
    from .facade import Database

    return Database(DynamoDBEngine(config), deadline=config.deadline)


def _find_region() -> str | None:
    from .engines.dynamodb.boto3_wire import find_region

    return find_region()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread of the parent may have held the lock.
    os.register_at_fork(after_in_child=_renew_lock)
