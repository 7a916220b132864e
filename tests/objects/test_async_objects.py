"""The objects of the async API, on SQLite and on the in-memory model."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, assert_type

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import AsyncSpec, AsyncUser, AsyncVersion, ConflictError, NotFoundError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation, Transact
from open_alchemy.package_database.database import AsyncDatabase, open_async_database
from open_alchemy.package_database.engines.async_adapter import ThreadedEngine
from open_alchemy.package_database.objects import async_objects, sync_objects
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine
from tests.objects.engines import CountingAsyncMemory, open_sqlite


async def fill(database: AsyncDatabase) -> AsyncUser:
    for version in ("1.0", "2.0"):
        await database.create_update_spec(sub="user 1", name="My.Spec", version=version, model_count=3)
    await database.create_update_credentials(
        sub="user 1", id_="laptop", public_key="pk", secret_key_hash=b"hash", salt=b"salt"
    )
    return package_database.root_async(database).users["user 1"]


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_linked_objects_are_read_and_updated(store: str) -> None:
    async def main() -> None:
        engine = AsyncMemoryEngine() if store == "memory" else ThreadedEngine(open_sqlite())
        async with open_async_database(engine) as database:
            user = await fill(database)
            spec = await user.specs["my-spec"]
            version = await spec.versions[-1]
            newer = await spec.update(title="title 2", version="3.0")
            with pytest.raises(ConflictError) as raised:
                await spec.update(title="title 3")

            assert_type(spec, AsyncSpec)
            assert_type(version, AsyncVersion)
            assert_type(await user.specs.get("my-spec"), AsyncSpec | None)
            assert (version.version, version.spec, spec.user) == ("2.0", spec, user)
            assert raised.value.newer == newer == await spec.refresh()
            assert isinstance(raised.value.newer, AsyncSpec)
            assert [each.version async for each in newer.versions] == ["1.0", "2.0", "3.0"]
            assert [each.version for each in await newer.versions[:2]] == ["1.0", "2.0"]
            assert [each async for each in user.specs] == [newer]
            assert [each.id async for each in user.credentials] == ["laptop"]
            assert await user.specs.get("other") is None
            with pytest.raises(NotFoundError):
                await user.specs["other"]
            with pytest.raises(IndexError):
                await newer.versions[3]

    asyncio.run(main())


def test_each_step_takes_at_most_one_request() -> None:
    async def main() -> list[int]:
        engine = CountingAsyncMemory()
        user = await fill(open_async_database(engine))
        engine.operations.clear()
        counts = []
        spec = await user.specs["my-spec"]
        counts.append(len(engine.operations))
        version = await spec.versions[-1]
        counts.append(len(engine.operations))
        assert version.spec.user.specs is not None
        await user.credentials["laptop"]
        counts.append(len(engine.operations))
        return counts

    assert asyncio.run(main()) == [1, 2, 3]


@pytest.mark.parametrize("name", ["specs", "credentials"])
def test_a_blocking_loop_is_a_type_error(name: str) -> None:
    user: Any = package_database.root_async(open_async_database(AsyncMemoryEngine())).users["user 1"]

    with pytest.raises(TypeError, match="not iterable"):
        list(getattr(user, name))
    with pytest.raises(TypeError):
        assert "my-spec" in getattr(user, name)


class _Waiting(AsyncMemoryEngine):
    """Executes a transaction when ``proceed`` is set, and sets ``started`` before."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.proceed = asyncio.Event(), asyncio.Event()
        self.proceed.set()

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        if isinstance(operation, Transact):
            self.started.set()
            await self.proceed.wait()
        return await super().execute(operation, deadline)


def test_a_cancelled_update_leaves_the_object_usable() -> None:
    async def main() -> None:
        engine = _Waiting()
        spec = await (await fill(open_async_database(engine))).specs["my-spec"]
        engine.started.clear()
        engine.proceed.clear()
        update = asyncio.create_task(spec.update(title="cancelled"))
        await engine.started.wait()
        update.cancel()
        with pytest.raises(asyncio.CancelledError):
            await update
        engine.proceed.set()

        assert await spec.refresh() == spec
        assert (await spec.update(title="title 2")).title == "title 2"

    asyncio.run(main())


def test_of_concurrent_updates_one_takes_effect() -> None:
    async def main() -> None:
        user = await fill(open_async_database(AsyncMemoryEngine()))
        spec = await user.specs["my-spec"]

        results = await asyncio.gather(
            *(spec.update(title=f"title {number}") for number in range(10)), return_exceptions=True
        )

        published = [result for result in results if isinstance(result, AsyncSpec)]
        assert published == [await spec.refresh()]
        assert sum(isinstance(result, ConflictError) for result in results) == 9

    asyncio.run(main())


def test_both_apis_have_the_same_objects() -> None:
    def names(module: Any, prefix: str) -> dict[str, set[str]]:
        classes = inspect.getmembers(
            module, lambda member: inspect.isclass(member) and member.__module__ == module.__name__
        )
        return {
            name.removeprefix(prefix): {attribute for attribute in vars(class_) if attribute[0] != "_"}
            for name, class_ in classes
        }

    assert names(sync_objects, "") == names(async_objects, "Async")
