"""Instances of a file whose URLs have a cache: `cached`, and engines that are closed while they are not used."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import cached
from open_alchemy.package_database.engines.broker.async_client import AsyncClient
from open_alchemy.package_database.instances import api
from open_alchemy.package_database.instances.instance_file import InstanceFile
from tests.broker.brokers import RunningBroker, be_patient, memory_store, run_broker
from tests.broker.hostile import wait_until


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningBroker]:
    # The lease is longer than the deadline of a write.
    be_patient(monkeypatch)
    with run_broker(memory_store()) as running:
        yield running


@pytest.fixture(autouse=True)
def _instances(broker: RunningBroker, tmp_path: Path) -> Iterator[None]:
    """The instances `first` and `second` of one broker with a cache, and `plain` without; one engine stays open."""
    urls = {"first": f"{broker.url}?cache=100", "second": f"{broker.url}?cache=100", "plain": broker.url}
    path = tmp_path / "instances.toml"
    path.write_text("\n".join(["max_open = 1", *(f'[instances.{id_}]\nurl = "{url}"' for id_, url in urls.items())]))
    directory = InstanceFile(str(path), {})
    with api.replaced(lambda: directory):
        yield
        for id_ in urls:
            directory.get(id_).close()


def publish(version: str) -> None:
    with package_database.instance("plain"):
        package_database.get().create_update_spec(sub="u", name="a", version=version, model_count=1)


def latest() -> str:
    return package_database.get().get_latest_spec_version(sub="u", name="a")


def test_a_cached_function_is_computed_once_for_each_instance() -> None:
    publish("1")
    function = cached(max_entries=10)(latest)

    def is_hit() -> bool:
        hits = function.cache_info().hits
        assert function() == "1"
        return function.cache_info().hits > hits

    with package_database.instance("first"):
        wait_until(is_hit)
        misses = function.cache_info().misses
    with package_database.instance("second"):
        function()

    assert function.cache_info().misses == misses + 1


def test_a_cached_coroutine_function_is_stored_in_an_instance() -> None:
    publish("1")

    @cached(max_entries=10)
    async def function() -> str:
        return await package_database.get_async().get_latest_spec_version(sub="u", name="a")

    async def main() -> None:
        with package_database.instance("first"):
            async with asyncio.timeout(60):
                while not function.cache_info().hits:
                    assert await function() == "1"
                    await asyncio.sleep(0.01)
            await package_database.get_async().aclose()

    asyncio.run(main())


def requests_of(step: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """Returns the number of requests of a step."""
    requests = []
    perform = AsyncClient.perform

    async def counted(client: AsyncClient, exchange: object) -> object:
        requests.append(exchange)
        return await perform(client, exchange)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(AsyncClient, "perform", counted)
        step()
    return len(requests)


def test_an_engine_that_is_closed_while_unused_delays_no_write(monkeypatch: pytest.MonkeyPatch) -> None:
    publish("1")
    with package_database.instance("first"):
        wait_until(lambda: (latest(), requests_of(latest, monkeypatch))[1] == 0)

    publish("2")  # Closes the engine of the first instance, which would be waited for longer than a write may take.

    gc.collect()
    with package_database.instance("first"):
        assert latest() == "2"
        wait_until(lambda: (latest(), requests_of(latest, monkeypatch))[1] == 0)
