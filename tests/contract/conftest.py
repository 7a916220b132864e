"""The stores that keep the contract, in each of their faces. A test takes ``database`` and asks for none by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.database import AsyncDatabase, Database
from open_alchemy.package_database.engines.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine, open_memory
from open_alchemy.package_database.engines.threaded import ThreadedEngine
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine
from tests.faces import FACES, awaited, open_face

Store = Callable[[pytest.FixtureRequest], AbstractContextManager[TDatabase]]


def _dynamodb(face: str) -> Store:
    def open_store(request: pytest.FixtureRequest) -> AbstractContextManager[TDatabase]:
        request.getfixturevalue("_clean_specs_table")
        request.getfixturevalue("_clean_credentials_table")
        return open_face(face, cast("Any", package_database.get()).engine.config)

    return open_store


def _sqlite_file(request: pytest.FixtureRequest) -> str:
    return f"sqlite:///{request.getfixturevalue('tmp_path') / 'a.db'}"


def _sqlite_memory() -> SQLiteEngine:
    return open_memory(SQLiteConfig(), TABLES)


_STORES: dict[str, Store] = {
    **{f"dynamodb, {face}": _dynamodb(face) for face in FACES},
    "sqlite, file": lambda request: package_database.connect(_sqlite_file(request)),
    "sqlite, file, async": lambda request: awaited(package_database.aconnect(_sqlite_file(request))),
    "sqlite, memory": lambda _: Database(_sqlite_memory(), deadline=5),
    "sqlite, memory, async": lambda _: awaited(AsyncDatabase(ThreadedEngine(_sqlite_memory()), deadline=5)),
    "memory": lambda _: nullcontext(Database(MemoryEngine(), deadline=5)),
    "memory, async": lambda _: awaited(AsyncDatabase(AsyncMemoryEngine(), deadline=5)),
}


@pytest.fixture(params=_STORES)
def database(request: pytest.FixtureRequest) -> Iterator[TDatabase]:
    with _STORES[request.param](request) as opened:
        yield opened
