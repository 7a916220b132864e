"""The stores that keep the contract. A test takes ``database`` and asks for no store by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.connections import MemoryConnections
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine
from open_alchemy.package_database.facade import Database
from tests.memory import MemoryEngine


def _dynamodb(request: pytest.FixtureRequest) -> TDatabase:
    request.getfixturevalue("_clean_specs_table")
    request.getfixturevalue("_clean_credentials_table")
    return package_database.get()


def _memory(_: pytest.FixtureRequest) -> TDatabase:
    return Database(MemoryEngine(), deadline=5)


def _sqlite_file(request: pytest.FixtureRequest) -> TDatabase:
    folder: Path = request.getfixturevalue("tmp_path")
    database = package_database.connect(f"sqlite:///{folder / 'a.db'}")
    request.addfinalizer(database.close)
    return database


def _sqlite_memory(_: pytest.FixtureRequest) -> TDatabase:
    return Database(SQLiteEngine(MemoryConnections(), SQLiteConfig()), deadline=5)


_STORES: dict[str, Callable[[pytest.FixtureRequest], TDatabase]] = {
    "dynamodb": _dynamodb,
    "memory": _memory,
    "sqlite file": _sqlite_file,
    "sqlite memory": _sqlite_memory,
}


@pytest.fixture(params=_STORES)
def database(request: pytest.FixtureRequest) -> TDatabase:
    return _STORES[request.param](request)
