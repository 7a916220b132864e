"""Objects of a client with a cache: at most one request for each step, and none if its result is cached."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import AsyncTDatabase, TDatabase
from open_alchemy.package_database.database import open_async_database, open_database
from open_alchemy.package_database.engines.broker.async_client import AsyncClient
from open_alchemy.package_database.engines.broker.async_engine import AsyncBrokerEngine
from open_alchemy.package_database.engines.broker.background_loop_engine import CachingEngine
from open_alchemy.package_database.engines.broker.config import BrokerConfig, CacheOptions
from tests.broker.brokers import be_patient, memory_store, run_broker
from tests.broker.hostile import wait_until

SPEC: Any = {"sub": "u", "name": "a", "version": "1", "model_count": 1}
CREDENTIALS: Any = {"sub": "u", "id_": "c", "public_key": "p", "secret_key_hash": b"hash", "salt": b"salt"}


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokerConfig]:
    """The configuration of a client with a cache."""
    be_patient(monkeypatch)
    with run_broker(memory_store()) as broker:
        yield broker.config._replace(cache=CacheOptions())


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The requests of all clients from now on."""
    requests: list[Any] = []
    perform = AsyncClient.perform

    async def recorded(client: AsyncClient, exchange: Any) -> Any:
        requests.append(exchange)
        return await perform(client, exchange)

    monkeypatch.setattr(AsyncClient, "perform", recorded)
    return requests


def steps_of(database: TDatabase) -> list[Callable[[], object]]:
    user = package_database.root(database).users["u"]
    spec = user.specs["a"]
    version = spec.versions[-1]
    return [
        lambda: user.specs["a"],
        lambda: user.specs.get("other"),
        lambda: "a" in user.specs,
        lambda: list(user.specs),
        lambda: spec.versions[-1],
        lambda: spec.versions[0],
        lambda: spec.versions[:],
        lambda: list(spec.versions),
        spec.refresh,
        version.refresh,
        lambda: user.credentials["c"],
        lambda: list(user.credentials),
        user.credentials["c"].refresh,
    ]


def test_a_step_takes_one_request_and_none_if_it_is_cached(config: BrokerConfig, requests: list[Any]) -> None:
    def counts() -> list[int]:
        found = []
        for step in steps:
            requests.clear()
            step()
            found.append(len(requests))
        return found

    with open_database(CachingEngine(config)) as database:
        database.create_update_spec(**SPEC)
        database.create_update_credentials(**CREDENTIALS)
        steps = steps_of(database)
        first = counts()
        wait_until(lambda: not any(counts()))
        database.create_update_spec(**SPEC)
        changed = counts()

    assert max(first) == max(changed) == 1
    assert sum(changed) >= 3  # The spec, its versions and the list of specs; not the credentials.
    assert changed[-3:] == [0, 0, 0]


def steps_of_async(database: AsyncTDatabase) -> list[Callable[[], Awaitable[object]]]:
    user = package_database.root_async(database).users["u"]

    async def spec() -> Any:
        return await user.specs["a"]

    async def version() -> Any:
        return await (await spec()).versions[-1]

    async def versions() -> Any:
        return await (await spec()).versions[:]

    return [
        spec,
        version,
        versions,
        lambda: _list(user.specs),
        lambda: _list(user.credentials),
        lambda: user.specs.get("other"),
    ]


async def _list(objects: AsyncIterable[object]) -> list[object]:
    return [each async for each in objects]


def test_an_awaited_step_takes_no_request_if_it_is_cached(config: BrokerConfig, requests: list[Any]) -> None:
    async def count(steps: list[Callable[[], Awaitable[object]]]) -> int:
        requests.clear()
        for step in steps:
            await step()
        return len(requests)

    async def main() -> int:
        async with open_async_database(AsyncBrokerEngine(config)) as database:
            await database.create_update_spec(**SPEC)
            await database.create_update_credentials(**CREDENTIALS)
            steps = steps_of_async(database)
            async with asyncio.timeout(60):
                while await count(steps):  # noqa: ASYNC110 (what it waits for is awaited)
                    await asyncio.sleep(0.01)
            await database.create_update_spec(**SPEC)
            return await count(steps)

    # The spec, its versions and the list of specs; not the credentials, and not the spec that does not exist.
    assert asyncio.run(main()) in range(3, 6)
