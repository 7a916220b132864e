"""Which instance a call works on: selections in threads, tasks, generators and copied contexts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConfigurationError, NotFoundError
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.instances import api
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.instances.selection import select_only
from open_alchemy.package_database.testing.local_instances import LocalInstances

current = package_database.instance_id


@pytest.fixture(autouse=True)
def _use_instances(_instances: LocalInstances) -> None:
    """Every test has the instances "one" and "two"."""


def publish(name: str) -> None:
    package_database.get().create_update_spec(sub="u1", name=name, version="1", model_count=1)


def names() -> list[str]:
    return [spec["name"] for spec in package_database.get().list_specs(sub="u1")]


def test_the_database_is_the_same_object_and_works_on_the_selected_instance() -> None:
    database = package_database.get()
    with package_database.instance("one"):
        publish("a")
        with package_database.instance("two"):
            publish("b")
            inner = (names(), current(), package_database.get() is database, "two.db" in repr(database))
        outer = (names(), current())

    assert inner == (["b"], "two", True, True)
    assert outer == (["a"], "one")
    assert current() is None
    assert "not configured" in repr(database)


def test_an_unknown_id_selects_nothing() -> None:
    with pytest.raises(NotFoundError), package_database.instance("three"):
        pass

    assert current() is None


def test_an_error_in_the_block_ends_the_selection() -> None:
    with pytest.raises(ZeroDivisionError), package_database.instance("one"):
        _ = 1 / 0

    assert current() is None


def test_a_plain_thread_has_no_instance_and_its_error_explains_that() -> None:
    with package_database.instance("one"), ThreadPoolExecutor(1) as threads:
        failed = threads.submit(names).exception()
        in_copy = threads.submit(copy_context().run, names).result()

    assert isinstance(failed, ConfigurationError)
    assert "no instance is selected here" in str(failed)
    assert "A thread does not inherit the instance of the code that starts it" in str(failed)
    assert "copy_context().run" in str(failed)
    assert in_copy == []


def test_a_plain_thread_works_on_the_default(_instances: LocalInstances) -> None:
    _instances.write("one", "two", default="two")

    with package_database.instance("one"), ThreadPoolExecutor(1) as threads:
        assert threads.submit(current).result() == "two"


def test_tasks_and_threads_of_asyncio_inherit_the_instance() -> None:
    async def main() -> list[str | None]:
        released = asyncio.Event()

        async def later() -> str | None:
            await released.wait()
            await package_database.get_async().list_specs(sub="u1")
            return current()

        with package_database.instance("one"):
            outliving = asyncio.create_task(later())
            in_thread = await asyncio.to_thread(current)
        released.set()
        return [in_thread, await outliving, current()]

    assert asyncio.run(main()) == ["one", "one", None]


def test_a_call_stays_on_the_instance_on_which_it_started() -> None:
    for name in ("one", "two"):
        with package_database.instance(name):
            publish(name)
    with package_database.instance("one"):
        stream = package_database.get().iter_specs(sub="u1")
        with package_database.instance("two"):
            streamed = [spec["name"] for spec in stream]

    assert streamed == ["one"]


def test_an_instance_of_the_callers_own_is_selected_by_the_same_mechanism(tmp_path: Path) -> None:
    with package_database.instance("one"), api.use(Instance(SQLiteConfig(tmp_path / "own.db"))):
        publish("own")
        inner = (names(), current())
        with package_database.instance("two"):
            innermost = (names(), current())

    assert inner == (["own"], None)
    assert innermost == ([], "two")


def test_a_request_that_never_ended_leaves_the_selection_of_the_context_in_which_it_is_collected() -> None:
    def request() -> Generator[None]:
        with select_only("one"):
            yield

    with package_database.instance("two"):
        unfinished = copy_context().run(started, request())
    unfinished.close()
    collected = current()
    with package_database.instance("one"):
        unfinished = copy_context().run(started, request())
    with package_database.instance("two"):
        unfinished.close()
        inside = current()

    assert (collected, inside, current()) == (None, "two", None)


def started(generator: Generator[None]) -> Generator[None]:
    """Returns a generator that was started."""
    next(generator)
    return generator


def test_a_generator_that_ends_its_selection_late_leaves_the_selection_of_its_caller() -> None:
    def generate() -> Generator[None]:
        with package_database.instance("one"):
            yield

    suspended = generate()
    next(suspended)
    with package_database.instance("two"):
        suspended.close()
        inside = current()

    assert inside == "two"
    assert current() is None


def test_a_generator_that_is_suspended_does_not_outlive_the_selection_around_it() -> None:
    suspended: list[Generator[None]] = []

    def generate() -> Generator[None]:
        with package_database.instance("one"):
            yield

    with package_database.instance("two"):
        suspended.append(generate())
        next(suspended[0])
    suspended.pop().close()

    assert current() is None


def test_an_asynchronous_generator_may_be_closed_in_another_context() -> None:
    async def generate() -> AsyncIterator[None]:
        with package_database.instance("one"):
            yield

    async def main() -> list[str | None]:
        suspended: Any = generate()
        await asyncio.create_task(anext(suspended))
        before = current()
        with package_database.instance("two"):
            await suspended.aclose()
            return [before, current()]

    assert asyncio.run(main()) == [None, "two"]


def test_a_removed_instance_is_refused_and_a_changed_one_has_the_new_store(_instances: LocalInstances) -> None:
    with package_database.instance("two"):
        publish("a")
        _instances.write("one")
        with pytest.raises(NotFoundError, match="there is no instance 'two'"):
            names()
        text = _instances.path.read_text().replace("one.db", "moved.db").replace('"one"', '"two"')
        _instances.path.write_text(text)
        _instances.directory.ids()

        assert names() == []


def test_threads_select_independently() -> None:
    barrier = threading.Barrier(2)

    def select(name: str) -> str | None:
        with package_database.instance(name):
            barrier.wait()
            found = current()
            barrier.wait()
            return found

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(select, ["one", "two"])) == ["one", "two"]


def test_a_selection_can_be_entered_again_and_shared_by_tasks() -> None:
    selection = package_database.instance("one")

    async def select() -> list[str | None]:
        with selection:
            await asyncio.sleep(0)
            with package_database.instance("two"), selection:
                inner = current()
            return [inner, current()]

    async def main() -> list[list[str | None]]:
        return list(await asyncio.gather(select(), select()))

    assert asyncio.run(main()) == [["one", "one"]] * 2
    assert current() is None


def test_a_selection_is_no_decorator() -> None:
    """A decorated coroutine would run when the selection has ended: on the default instance."""
    assert not callable(package_database.instance("one"))
