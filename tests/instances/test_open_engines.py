"""Which engines are open: those used last and those in use, also when the file changes or a process forks."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import RefusedError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation, Table
from open_alchemy.package_database.engines import registry
from open_alchemy.package_database.instances import (
    api,
    closer,
    open_engines,
    self_closing_async_engine,
    self_closing_engine,
)
from open_alchemy.package_database.instances.instance_file import InstanceFile
from open_alchemy.package_database.instances.self_closing_async_engine import closer_of_running_loop
from open_alchemy.package_database.testing.memory import MemoryEngine, MemoryStore


class Store:
    """A store in memory that records which engines are open."""

    deadline = 5.0

    def __init__(self, url: str) -> None:
        self.url = self.location = url
        self.items = MemoryStore()
        self.open: list[Any] = []
        self.opened = 0
        self.fails = False
        self.pause: Callable[[], None] = _none

    def open_engine(self, tables: Sequence[Table]) -> Any:
        return self._add(Tracked(self))

    def open_async_engine(self, tables: Sequence[Table]) -> Any:
        return self._add(AsyncTracked(self))

    def _add(self, engine: Any) -> Any:
        self.opened += 1
        self.open.append(engine)
        return engine


class Tracked(MemoryEngine):
    """An engine that refuses calls when it is closed."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.items)
        self.tracked = store

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self.tracked.pause()
        if self not in self.tracked.open:
            raise RefusedError("closed during a call")
        return super().execute(operation, deadline)

    def close(self) -> None:
        if self in self.tracked.open:
            self.tracked.open.remove(self)
        if self.tracked.fails:
            raise OSError("canary")


class AsyncTracked:
    """The same for asyncio; records the event loops that close it."""

    attempt_seconds = 0.0

    def __init__(self, store: Store) -> None:
        self.config = store
        self._engine = MemoryEngine(store.items)
        self.closed_in: list[asyncio.AbstractEventLoop] = []

    async def prepare(self) -> None:
        pass

    def queue(self) -> None:
        pass

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        await asyncio.sleep(0)
        if self not in self.config.open:
            raise RefusedError("closed during a call")
        return self._engine.execute(operation, deadline)

    async def aclose(self) -> None:
        self.closed_in.append(asyncio.get_running_loop())
        if self in self.config.open:
            self.config.open.remove(self)
        if self.config.fails:
            raise OSError("canary")


def _none() -> None:
    """Does nothing."""


class Stores:
    """A file of instances in memory.

    Attributes:
        ids: The ids.
        found: The stores by their URLs.
    """

    def __init__(self, path: Path, ids: list[str], max_open: int) -> None:
        self._path = path
        self.ids = ids
        self.found: dict[str, Store] = {}
        self.write(dict.fromkeys(ids, 1), max_open)

    def write(self, versions: dict[str, int], max_open: int) -> None:
        lines = [f'[instances.{name}]\nurl = "memory://{name}/{version}"' for name, version in versions.items()]
        new = self._path.with_suffix(".new")
        new.write_text("\n".join([f"max_open = {max_open}", *lines]))
        new.replace(self._path)

    def from_url(self, url: str, environment: object, *, source: str) -> Store:
        return self.found.setdefault(url, Store(url))

    def __getitem__(self, name: str) -> Store:
        """Returns the first store of an instance."""
        return self.found[f"memory://{name}/1"]

    def open(self) -> list[str]:
        return [store.url for store in tuple(self.found.values()) for _ in tuple(store.open)]


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """Eight instances, of which two engines stay open."""
    path = tmp_path / "instances.toml"
    stores = Stores(path, [f"i{number}" for number in range(8)], 2)
    monkeypatch.setattr(registry, "from_url", stores.from_url)
    directory = InstanceFile(str(path), {})
    with api.replaced(lambda: directory):
        yield stores


def eventually(condition: Callable[[], bool]) -> bool:
    """Waits for the thread that closes engines."""
    gc.collect()
    for _ in range(2_000):
        if condition():
            return True
        time.sleep(0.005)
    return False


def read(name: str) -> list[Any]:
    with package_database.instance(name):
        return package_database.get().list_specs(sub="u1")


async def aread(name: str) -> list[Any]:
    with package_database.instance(name):
        return await package_database.get_async().list_specs(sub="u1")


def test_the_engines_used_last_stay_open(stores: Stores) -> None:
    for name in ("i0", "i1", "i0", "i2"):
        read(name)

    assert eventually(lambda: stores.open() == ["memory://i0/1", "memory://i2/1"])
    read("i0")
    assert stores["i0"].opened == 1


def test_an_engine_in_use_is_closed_when_its_call_ends(stores: Stores) -> None:
    during: list[list[str]] = []

    def pause() -> None:
        stores["i0"].pause = _none
        for name in ("i1", "i2", "i3"):
            read(name)
        eventually(lambda: len(stores.open()) == 3)
        during.append(stores.open())

    stores["i0"].pause = pause
    read("i0")

    assert during == [["memory://i0/1", "memory://i2/1", "memory://i3/1"]]
    assert eventually(lambda: stores.open() == ["memory://i2/1", "memory://i3/1"])


def test_an_engine_in_use_that_is_not_kept_is_used_by_the_next_call(stores: Stores) -> None:
    def pause() -> None:
        stores["i0"].pause = _none
        for name in ("i1", "i2", "i0"):
            read(name)

    stores["i0"].pause = pause
    read("i0")

    assert stores["i0"].opened == 1


def test_a_stream_keeps_its_engine_until_it_ends(stores: Stores) -> None:
    with package_database.instance("i0"):
        database = package_database.get()
        database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
        stream: Any = database.iter_specs(sub="u1")
    for name in ("i1", "i2", "i3"):
        read(name)
    while_open = eventually(lambda: len(stores.open()) == 3)
    found = [spec["name"] for spec in stream]
    del stream

    assert while_open
    assert found == ["a"]
    assert eventually(lambda: stores.open() == ["memory://i2/1", "memory://i3/1"])


def test_a_stream_that_is_dropped_releases_its_engine(stores: Stores) -> None:
    with package_database.instance("i0"):
        stream: Any = package_database.get().iter_specs(sub="u1")
    for name in ("i1", "i2"):
        read(name)
    del stream

    assert eventually(lambda: stores.open() == ["memory://i1/1", "memory://i2/1"])


def test_calls_of_many_threads_never_use_a_closed_engine(stores: Stores) -> None:
    stores.write(dict.fromkeys(stores.ids, 1), 1)
    package_database.instances()
    for name in stores.ids:
        read(name)
        stores[name].pause = lambda: time.sleep(0)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(read, stores.ids * 60))

    assert eventually(lambda: len(stores.open()) == 1)


def test_an_engine_that_fails_to_close_is_logged_and_others_are_closed(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    read("i0")
    stores["i0"].fails = True

    for name in ("i1", "i2", "i3"):
        read(name)

    assert eventually(lambda: stores.open() == ["memory://i2/1", "memory://i3/1"])
    assert "the engine of an instance was not closed: OSError" in caplog.text
    assert "canary" not in caplog.text


def test_an_asynchronous_engine_that_fails_to_close_is_logged(stores: Stores, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> bool:
        await aread("i0")
        stores["i0"].fails = True
        for name in ("i1", "i2"):
            await aread(name)
        return await asyncio.to_thread(eventually, lambda: "not closed: OSError" in caplog.text)

    assert asyncio.run(main())
    assert "canary" not in caplog.text


def test_a_call_that_opens_an_engine_closes_another_if_many_wait(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_thread = closer.Closer()
    monkeypatch.setattr(without_thread, "start", _none)
    for module in (open_engines, self_closing_engine, self_closing_async_engine):
        monkeypatch.setattr(module, "closer", without_thread)

    for name in stores.ids * 20:
        read(name)

    assert len(stores.open()) <= 2 + closer._MAX_WAITING + 1


def test_a_changed_url_applies_to_new_calls_and_the_old_engine_is_closed(stores: Stores) -> None:
    used: list[list[str]] = []

    def pause() -> None:
        stores["i0"].pause = _none
        stores.write({"i0": 2}, 2)
        package_database.instances()
        read("i0")
        used.append(stores.open())

    read("i1")
    stores["i0"].pause = pause
    read("i0")

    assert used[0].count("memory://i0/1") == used[0].count("memory://i0/2") == 1
    assert eventually(lambda: stores.open() == ["memory://i0/2"])


def test_an_instance_that_is_removed_during_a_lookup_keeps_no_engine(stores: Stores) -> None:
    instance = api.directory().get("i0")
    stores.write({"i1": 1}, 2)
    package_database.instances()

    instance.engine()

    assert eventually(lambda: stores.open() == [])


def test_the_database_can_be_closed_and_used_again(stores: Stores) -> None:
    database: Any = package_database.get()
    with package_database.instance("i0"):
        database.list_specs(sub="u1")
        database.close()
        database.close()
        closed = stores.open()
        database.list_specs(sub="u1")

    async def main() -> list[str]:
        await aread("i1")
        with package_database.instance("i1"):
            await package_database.get_async().aclose()
            await package_database.get_async().aclose()
        return stores.open()

    assert closed == []
    assert asyncio.run(main()) == ["memory://i0/1"]


def test_every_event_loop_closes_an_engine_that_is_not_kept(stores: Stores) -> None:
    was_read, end = threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await aread("i0")
        was_read.set()
        await asyncio.to_thread(end.wait, 30)

    async def replace() -> list[asyncio.AbstractEventLoop]:
        loops.append(asyncio.get_running_loop())
        await aread("i0")
        closed_in: list[asyncio.AbstractEventLoop] = stores["i0"].open[0].closed_in
        for name in ("i1", "i2"):
            await aread(name)
        await asyncio.to_thread(eventually, lambda: len(closed_in) == 2)
        return closed_in

    other = threading.Thread(target=asyncio.run, args=(serve(),))
    other.start()
    was_read.wait(30)
    try:
        closed_in = asyncio.run(replace())
    finally:
        end.set()
        other.join()

    assert set(closed_in) == set(loops)
    assert len(loops) == len(closed_in) == 2
    assert stores["i0"].opened == 1


def test_tasks_with_one_open_engine_never_use_a_closed_one(stores: Stores) -> None:
    stores.write(dict.fromkeys(stores.ids, 1), 1)
    package_database.instances()

    async def main() -> None:
        await asyncio.gather(*(aread(name) for name in stores.ids * 40))

    asyncio.run(main())
    asyncio.run(main())


def test_a_loop_that_shuts_down_waits_for_engines_and_starts_to_close_no_other() -> None:
    class Slow(AsyncTracked):
        async def aclose(self) -> None:
            await asyncio.sleep(0.01)
            await super().aclose()

    async def main() -> list[bool]:
        closing, late = Slow(Store("")), Slow(Store(""))
        loop_closer = await closer_of_running_loop()
        loop_closer.close(closing)
        await asyncio.sleep(0)
        await asyncio.get_running_loop().shutdown_asyncgens()
        loop_closer.close(late)
        await asyncio.sleep(0.02)
        return [bool(engine.closed_in) for engine in (closing, late)]

    assert asyncio.run(main()) == [True, False]


def test_a_loop_that_is_closed_is_not_called(stores: Stores) -> None:
    asyncio.run(aread("i0"))

    async def main() -> list[str]:
        for name in ("i1", "i2"):
            await aread(name)
        return stores.open()

    assert "memory://i2/1" in asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_of_a_fork_selects_and_closes(_instances: Any, tmp_path: Path) -> None:
    def use(name: str) -> None:
        with package_database.instance(name):
            package_database.get().create_update_spec(
                sub="u1", name=f"{name}-{os.getpid()}", version="1", model_count=1
            )

    ids = ("one", "two", "three")
    _instances.write(*ids)
    _instances.path.write_text("max_open = 1\n" + _instances.path.read_text())
    _instances.directory.ids()
    for name in ids:
        use(name)
    pid = os.fork()
    if pid == 0:
        try:
            for name in ids * 2:
                use(name)
        except BaseException:  # noqa: BLE001 (the child must not return into pytest)
            os._exit(1)
        os._exit(0)
    for name in ids:
        use(name)

    assert os.waitpid(pid, 0)[1] == 0
    for name in ids:
        with package_database.instance(name):
            found = [spec["name"] for spec in package_database.get().list_specs(sub="u1")]
        assert sorted(found) == sorted([f"{name}-{os.getpid()}", f"{name}-{pid}"])
