"""The face for await on a file: beside the blocking one, without blocking a loop, in many loops, and closed."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import AsyncTDatabase, RefusedError, UnavailableError, instances
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Query, StoreOperation
from open_alchemy.package_database.engines.sqlite import connection_pool, database_file
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_sqlite
from open_alchemy.package_database.engines.threaded import ThreadedEngine
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import MemoryStore
from tests.simulation.invariants import check_specs

QUERY = Query(SPECS, "u1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def configured(url: str, path: Path, fresh_process: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process whose environment names a file in the current folder, before its first call."""
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("PACKAGE_DATABASE_URL", f"sqlite:///{path.name}")
    yield
    instances.get().close()  # type: ignore[attr-defined]
    asyncio.run(instances.get_async().aclose())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """The connections that are opened to files, for as long as anybody has them."""
    found: list[sqlite3.Connection] = []

    def connect(path: Path) -> sqlite3.Connection:
        found.append(database_file.connect_to_file(path))
        return found[-1]

    monkeypatch.setattr(connection_pool, "connect_to_file", connect)
    return found


def is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.total_changes  # noqa: B018 (raises where it is closed)
    except sqlite3.ProgrammingError:
        return False
    return True


async def publish(database: AsyncTDatabase, version: str, name: str = "a") -> None:
    await database.create_update_spec(sub="u1", name=name, version=version, model_count=1)


async def versions(database: AsyncTDatabase) -> list[str]:
    return [info["version"] for info in await database.list_spec_versions(sub="u1", name="a")]


def check_file(path: Path) -> int:
    """Checks the invariants of the specs in a file, and returns how many records there are."""
    engine = open_sqlite(SQLiteConfig(path))
    engine.prepare()
    with closing(engine):
        items = engine.execute(QUERY, Deadline(60))
    model = MemoryStore()
    for item in items:
        model.items[SPECS.name, b"u1", item["updated_at_id"].encode()] = item
    check_specs(model)
    return len(items)


@pytest.mark.usefixtures("configured")
def test_both_faces_have_the_database_that_the_environment_names(path: Path) -> None:
    asyncio.run(publish(package_database.get_async(), "1.0"))
    package_database.get().create_update_spec(sub="u1", name="a", version="2.0", model_count=1)

    assert asyncio.run(versions(package_database.get_async())) == ["1.0", "2.0"]
    assert path.exists()


def test_the_thread_of_the_loop_executes_no_statement(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connect_and_trace(*arguments: Any, **options: Any) -> sqlite3.Connection:
        threads.append(threading.get_ident())
        connection = connect(*arguments, **options)
        connection.set_trace_callback(lambda _: threads.append(threading.get_ident()))
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_and_trace)

    async def use() -> None:
        async with package_database.aconnect(url) as database:
            await publish(database, "1.0")
            await versions(database)
            await database.delete_all(sub="u1")

    asyncio.run(use())

    assert len(threads) > 10
    assert threading.get_ident() not in threads


def test_the_loop_goes_on_while_a_call_waits_for_a_lock(path: Path, url: str) -> None:
    async def use() -> tuple[bool, list[str]]:
        async with package_database.aconnect(url) as database:
            await publish(database, "1.0")
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                call = asyncio.create_task(publish(database, "2.0"))
                for _ in range(20):
                    await asyncio.sleep(0.005)
                waited = not call.done()
                other.execute("ROLLBACK")
            await call
            return waited, await versions(database)

    assert asyncio.run(use()) == (True, ["1.0", "2.0"])


def test_calls_that_are_cancelled_leave_whole_specs(path: Path, url: str) -> None:
    async def use() -> None:
        async with package_database.aconnect(url) as database:
            await publish(database, "0")
            for moment in range(30):
                calls = [asyncio.create_task(publish(database, str(moment), name)) for name in ("a", "b", "c")]
                calls.append(asyncio.create_task(database.delete_spec(sub="u1", name="b")))
                await asyncio.sleep(moment / 5_000)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
            await publish(database, "last")
            assert "last" in await versions(database)

    asyncio.run(use())

    assert check_file(path) > 3


def test_many_loops_share_a_database(url: str) -> None:
    database = package_database.aconnect(url)
    together = threading.Barrier(4)

    def use(number: int) -> None:
        async def calls() -> None:
            together.wait(10)
            await asyncio.gather(*(publish(database, f"{number}.{call}") for call in range(5)))

        asyncio.run(calls())

    loops = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    found = asyncio.run(versions(database))
    asyncio.run(database.aclose())

    assert sorted(found) == [f"{number}.{call}" for number in range(4) for call in range(5)]


def test_a_closed_database_has_no_connection_and_opens_another(
    path: Path, url: str, opened: list[sqlite3.Connection]
) -> None:
    database = package_database.aconnect(url)

    async def use(version: str) -> None:
        async with database:
            await asyncio.gather(*(publish(database, f"{version}.{number}") for number in range(5)))

    asyncio.run(use("1"))
    # The last connection that is closed takes the log in.
    logs = list(path.parent.glob("x.db-*"))
    first = len(opened)
    asyncio.run(use("2"))

    assert 0 < first < len(opened)
    assert not any(map(is_open, opened))
    assert logs == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_goes_on_in_a_loop_of_its_own(url: str) -> None:
    database = package_database.aconnect(url)
    asyncio.run(publish(database, "1.0"))
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            asyncio.run(publish(database, "2.0"))
            failed = 0
        finally:
            os._exit(failed)

    _, status = os.waitpid(child, 0)
    found = asyncio.run(versions(database))
    asyncio.run(database.aclose())

    assert status == 0
    assert found == ["1.0", "2.0"]


class Gated:
    """A database in a file that waits where the test wants it to."""

    attempt_seconds = 0.0

    def __init__(self, path: Path) -> None:
        self._engine = open_sqlite(SQLiteConfig(path))
        self.preparing, self.executing = threading.Event(), threading.Event()
        self.preparing.set()
        self.executing.set()
        self.reached = threading.Event()

    def prepare(self) -> None:
        self.reached.set()
        assert self.preparing.wait(10)
        self._engine.prepare()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self.reached.set()
        assert self.executing.wait(10)
        return self._engine.execute(operation, deadline)

    def close(self) -> None:
        self._engine.close()


async def reach(engine: Gated) -> None:
    assert await asyncio.to_thread(engine.reached.wait, 10)


def gated(path: Path) -> tuple[ThreadedEngine, list[Gated]]:
    """Returns an engine, and all that it makes."""
    made: list[Gated] = []

    def make() -> Gated:
        made.append(Gated(path))
        return made[-1]

    return ThreadedEngine(cast("Any", make)), made


def test_an_engine_that_was_closed_while_it_was_prepared_is_prepared_anew(path: Path) -> None:
    async def use() -> object:
        engine, made = gated(path)
        made[0].preparing.clear()
        preparing = asyncio.create_task(engine.prepare())
        await reach(made[0])
        await engine.aclose()
        made[0].preparing.set()
        await preparing
        await engine.prepare()
        was_prepared = made[1].reached.is_set()
        await engine.aclose()
        return was_prepared

    assert asyncio.run(use())


def test_a_call_goes_on_where_the_database_is_closed_meanwhile(path: Path) -> None:
    async def use() -> object:
        engine, made = gated(path)
        await engine.prepare()
        made[0].executing.clear()
        made[0].reached.clear()
        call = asyncio.create_task(engine.execute(QUERY, Deadline(10)))
        await reach(made[0])
        await engine.aclose()
        made[0].executing.set()
        found = await call
        await engine.aclose()
        return found

    assert asyncio.run(use()) == []


def test_an_operation_between_closing_and_preparing_is_carried_out(path: Path) -> None:
    async def use() -> object:
        engine, _ = gated(path)
        await engine.prepare()
        await engine.aclose()
        found = await engine.execute(QUERY, Deadline(10))
        await engine.aclose()
        return found

    assert asyncio.run(use()) == []


@pytest.mark.parametrize("code", ["SQLITE_FULL", "Closed"])
def test_a_refusal_without_a_new_engine_is_no_reason_to_ask_again(code: str, path: Path) -> None:
    engine, made = gated(path)

    def refuse(*_: object) -> None:
        raise RefusedError("no", code=code)

    made[0].execute = refuse  # type: ignore[method-assign, assignment]

    with pytest.raises(RefusedError, match="no"):
        asyncio.run(engine.execute(QUERY, Deadline(10)))


def test_a_call_that_waits_for_a_thread_beyond_its_deadline_is_not_begun(path: Path) -> None:
    async def use() -> None:
        engine, _ = gated(path)
        await engine.prepare()
        try:
            await engine.execute(QUERY, Deadline(-1))
        finally:
            await engine.aclose()

    with pytest.raises(package_database.UnavailableError, match="was not begun"):
        asyncio.run(use())


def test_a_call_waits_for_a_thread_no_longer_than_its_deadline(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", "0.3")
    released = threading.Event()

    async def use() -> float:
        database = package_database.aconnect(url)
        await database.list_specs(sub="u1")
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        job = loop.run_in_executor(None, released.wait, 10)
        start = time.monotonic()
        with pytest.raises(UnavailableError, match="no thread of the loop's executor"):
            await database.list_specs(sub="u1")
        seconds = time.monotonic() - start
        released.set()
        await job
        await database.aclose()
        return seconds

    assert asyncio.run(use()) < 0.3 + 0.5 + 0.3
