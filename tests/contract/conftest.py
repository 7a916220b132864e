"""Opens each store through each of its APIs. A contract test takes the fixture ``database`` and names no store.

Secrets of contract tests are canaries, and every logger is at DEBUG: a trace of a canary in the log fails the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache
from typing import Any, cast

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.database import open_async_database, open_database
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine, open_memory
from open_alchemy.package_database.engines.threaded import ThreadedEngine
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine
from tests.apis import APIS, blocking, open_api
from tests.canary import find, record_logs

Open = Callable[[pytest.FixtureRequest], AbstractContextManager[TDatabase]]


@pytest.fixture(scope="session")
def _dynamodb_apis(_database: str) -> Iterator[Callable[[str], TDatabase]]:
    """Opens each API of the local DynamoDB once: the creation of a boto3 client takes longer than most tests."""
    with ExitStack() as stack:
        config = cast("Any", package_database.get()).engine.config
        yield cache(lambda api: stack.enter_context(open_api(api, config)))


def _dynamodb(api: str) -> Open:
    def open_store(request: pytest.FixtureRequest) -> AbstractContextManager[TDatabase]:
        request.getfixturevalue("_clean_specs_table")
        request.getfixturevalue("_clean_credentials_table")
        return nullcontext(request.getfixturevalue("_dynamodb_apis")(api))

    return open_store


def _sqlite_file(request: pytest.FixtureRequest) -> str:
    return f"sqlite:///{request.getfixturevalue('tmp_path') / 'a.db'}"


def _sqlite_memory() -> SQLiteEngine:
    return open_memory(SQLiteConfig(), TABLES)


_STORES: dict[str, Open] = {
    **{f"dynamodb, {api}": _dynamodb(api) for api in APIS},
    "sqlite, file": lambda request: package_database.connect(_sqlite_file(request)),
    "sqlite, file, async": lambda request: blocking(package_database.aconnect(_sqlite_file(request))),
    "sqlite, memory": lambda _: open_database(_sqlite_memory()),
    "sqlite, memory, async": lambda _: blocking(open_async_database(ThreadedEngine(_sqlite_memory()))),
    "memory": lambda _: nullcontext(open_database(MemoryEngine())),
    "memory, async": lambda _: blocking(open_async_database(AsyncMemoryEngine())),
}


@pytest.fixture(params=_STORES)
def database(request: pytest.FixtureRequest) -> Iterator[TDatabase]:
    """An empty database, of each store and through each of its APIs."""
    with _STORES[request.param](request) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_secret_is_logged_or_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    with record_logs() as logged:
        yield
    assert find(logged() + "".join(capfd.readouterr())) == []
