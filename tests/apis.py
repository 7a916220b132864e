"""The APIs of a DynamoDB store, sync and async over either HTTP client, all with the interface of the sync one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from open_alchemy.package_database import AsyncTDatabase, TDatabase
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation
from open_alchemy.package_database.core.runner import Sources
from open_alchemy.package_database.database import (
    SYSTEM,
    AsyncDatabase,
    Database,
    open_async_database,
    open_database,
)
from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS, DynamoDBConfig, Wire
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.model.schema import TABLES

APIS = ("lean", "boto3", "lean, async", "boto3, async")
SYNC_APIS = ("lean", "boto3")


def config_of(url: str, *, deadline: float = 60.0) -> DynamoDBConfig:
    """Returns the configuration of a local server."""
    return DynamoDBConfig("TEST", "us-east-1", endpoint_url=url, credentials=DUMMY_CREDENTIALS, deadline=deadline)


def connect_to(config: Config, sources: Sources = SYSTEM) -> Database:
    """Opens the sync API on a store."""
    return open_database(config.open_engine(TABLES), sources)


def aconnect_to(config: Config, sources: Sources = SYSTEM) -> AsyncDatabase:
    """Opens the async API on a store."""
    return open_async_database(config.open_async_engine(TABLES), sources)


class BlockingAdapter:
    """Calls the asynchronous API synchronously, each call in the same event loop."""

    def __init__(
        self, database: AsyncTDatabase, *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None
    ) -> None:
        self._database: Any = database
        self._runner = asyncio.Runner(loop_factory=loop_factory)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._database, name)

        async def call(**arguments: Any) -> Any:
            result = method(**arguments)
            return iter([item async for item in result]) if hasattr(result, "__aiter__") else await result

        return lambda **arguments: self._runner.run(call(**arguments))

    def prepare(self) -> None:
        self._runner.run(self._database.engine.prepare())

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        async def call() -> Any:
            await self._database.engine.prepare()
            return await self._database.engine.execute(operation, deadline)

        return self._runner.run(call())

    def close(self) -> None:
        self._runner.run(self._database.aclose())
        self._runner.close()


@contextmanager
def blocking(
    database: AsyncTDatabase, *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Iterator[TDatabase]:
    """Opens the synchronous interface of an asynchronous API, and closes both."""
    adapter = BlockingAdapter(database, loop_factory=loop_factory)
    try:
        yield cast("TDatabase", adapter)
    finally:
        adapter.close()


def execute(database: TDatabase, operation: StoreOperation) -> Any:
    """Executes an operation on the engine of a database."""
    if isinstance(database, BlockingAdapter):
        return database.execute(operation, Deadline(60))
    engine = cast("Database", database).engine
    engine.prepare()
    return engine.execute(operation, Deadline(60))


@contextmanager
def open_api(api: str, config: DynamoDBConfig, sources: Sources = SYSTEM) -> Iterator[TDatabase]:
    """Opens a database; its HTTP client is created here, so that a test does not measure the creation."""
    client, _, is_async = api.partition(", ")
    config = config._replace(wire=cast("Wire", client))
    if is_async:
        with blocking(aconnect_to(config, sources)) as database:
            cast("Any", database).prepare()
            yield database
    else:
        opened = connect_to(config, sources)
        opened.engine.prepare()
        try:
            yield opened
        finally:
            cast("Any", opened.engine).close()
