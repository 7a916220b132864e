"""The API for await on a file: next to the blocking one, in many loops, cancelled and closed."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import AsyncTDatabase, RefusedError, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Put, Query, StoreOperation, Transact
from open_alchemy.package_database.database import open_async_database
from open_alchemy.package_database.engines import shared_threads
from open_alchemy.package_database.engines.async_adapter import ThreadedEngine
from open_alchemy.package_database.engines.port import Administration
from open_alchemy.package_database.engines.shared_threads import THREADS_OF_ENGINE
from open_alchemy.package_database.engines.sqlite import connection_pool, database_file
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_sqlite
from open_alchemy.package_database.model.schema import SPECS, TABLES
from tests.sqlite.stored import check_file

QUERY = Query(SPECS, "u1")
Result = TypeVar("Result")


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
    package_database.get().close()  # type: ignore[attr-defined]
    asyncio.run(package_database.get_async().aclose())


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


@pytest.mark.usefixtures("configured")
def test_both_apis_open_the_database_that_the_environment_names(path: Path) -> None:
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


def test_the_loop_continues_while_a_call_waits_for_a_lock(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_waiting = threading.Event()
    monkeypatch.setattr(time, "sleep", lambda _: is_waiting.set())

    async def use() -> tuple[bool, list[str]]:
        async with package_database.aconnect(url) as database:
            await publish(database, "1.0")
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                call = asyncio.create_task(publish(database, "2.0"))
                assert await asyncio.to_thread(is_waiting.wait, 10)
                waited = not call.done()
                other.execute("ROLLBACK")
            await call
            return waited, await versions(database)

    assert asyncio.run(use()) == (True, ["1.0", "2.0"])


def test_many_loops_share_a_database(url: str) -> None:
    database = package_database.aconnect(url)
    together = threading.Barrier(4)

    def use(number: int) -> None:
        async def calls() -> None:
            together.wait(60)
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


def test_a_closed_database_has_no_connection_and_refuses_calls(
    path: Path, url: str, opened: list[sqlite3.Connection]
) -> None:
    async def use() -> RefusedError:
        async with package_database.aconnect(url) as database:
            await asyncio.gather(*(publish(database, f"{number}") for number in range(5)))
        with pytest.raises(RefusedError, match="the database was closed") as caught:
            await publish(database, "late")
        await database.aclose()
        return caught.value

    error = asyncio.run(use())

    # The last connection that is closed checks the log in.
    assert list(path.parent.glob("x.db-*")) == []
    assert error.code == "Closed"
    assert opened
    assert not any(map(is_open, opened))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_child_of_a_fork_uses_the_database_in_its_own_loop(url: str) -> None:
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
    """A database in a file whose operations wait until the test opens the gate."""

    attempt_seconds = 0.0

    def __init__(self, path: Path) -> None:
        self.config = SQLiteConfig(path)
        self._engine = open_sqlite(self.config, TABLES)
        self.gate = threading.Event()
        self.reached = threading.Semaphore(0)
        self.executed: list[StoreOperation] = []

    def prepare(self) -> None:
        self._engine.prepare()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self.executed.append(operation)
        self.reached.release()
        assert self.gate.wait(60)
        return self._engine.execute(operation, deadline)

    def administration(self) -> Administration:
        return self._engine.administration()

    def close(self) -> None:
        self._engine.close()

    async def wait_until_reached(self, count: int = 1) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.reached.acquire, timeout=60)


@pytest.fixture
def gated(path: Path) -> Iterator[Gated]:
    engine = Gated(path)
    yield engine
    engine.gate.set()
    engine.close()


PUT = Transact((Put(SPECS, {"sub": "u1", "updated_at_id": "x", "id_updated_at": "x"}),))


@pytest.fixture
def reported() -> list[dict[str, Any]]:
    """What event loops report to their exception handlers."""
    return []


def run(main: Coroutine[Any, Any, Result], reported: list[dict[str, Any]]) -> Result:
    """Runs a coroutine, and has its loop report errors that nobody retrieved."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _, context: reported.append(context))
        result = runner.run(main)
        gc.collect()
    return result


def test_a_cancelled_call_that_no_thread_started_is_not_executed(gated: Gated, reported: list[dict[str, Any]]) -> None:
    async def use() -> None:
        engine = ThreadedEngine(gated)
        await engine.prepare()
        busy = [asyncio.create_task(engine.execute(QUERY, Deadline(10))) for _ in range(THREADS_OF_ENGINE)]
        await gated.wait_until_reached(len(busy))
        queued = asyncio.create_task(engine.execute(PUT, Deadline(10)))
        await asyncio.sleep(0)
        queued.cancel()
        await asyncio.wait([queued])
        gated.gate.set()
        assert await asyncio.gather(*busy) == [[]] * len(busy)
        await engine.aclose()

    run(use(), reported)

    assert PUT not in gated.executed
    assert reported == []


def test_a_cancelled_call_in_a_thread_stops_waiting_and_its_error_is_not_reported(
    gated: Gated, reported: list[dict[str, Any]]
) -> None:
    async def use() -> float:
        engine = ThreadedEngine(gated)
        deadline = Deadline(60)
        call = asyncio.create_task(engine.execute(PUT, deadline))
        await gated.wait_until_reached()
        call.cancel()
        await asyncio.wait([call])
        gated.gate.set()
        await engine.aclose()
        return deadline.remaining()

    assert run(use(), reported) < 0

    assert reported == []


def test_calls_that_are_cancelled_leave_whole_specs(path: Path, gated: Gated) -> None:
    """Cancels four calls when some of their operations, none to five, have started in threads."""
    gated.gate.set()

    async def use() -> None:
        async with open_async_database(ThreadedEngine(gated)) as database:
            await publish(database, "0")
            for number in range(30):
                before = len(gated.executed)
                calls = [asyncio.create_task(publish(database, str(number), name)) for name in ("a", "b", "c")]
                calls.append(asyncio.create_task(database.delete_spec(sub="u1", name="b")))
                while len(gated.executed) < before + number % 6:
                    await asyncio.to_thread(gated.reached.acquire, timeout=60)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
            await publish(database, "last")
            assert "last" in await versions(database)

    asyncio.run(use())

    # At least the version "0" or "last", and the latest record.
    assert len(check_file(path, "u1")) >= 3


def test_a_call_waits_for_a_thread_no_longer_than_its_deadline(gated: Gated) -> None:
    async def use() -> None:
        engine = ThreadedEngine(gated)
        await engine.prepare()
        busy = [asyncio.create_task(engine.execute(QUERY, Deadline(10))) for _ in range(THREADS_OF_ENGINE)]
        await gated.wait_until_reached(len(busy))
        with pytest.raises(UnavailableError, match="was not started: all threads were busy"):
            await engine.execute(PUT, Deadline(0.01))
        gated.gate.set()
        await asyncio.gather(*busy)
        await engine.aclose()

    asyncio.run(use())

    assert PUT not in gated.executed


def test_a_busy_default_executor_of_the_loop_is_not_used(url: str) -> None:
    released = threading.Event()

    async def use() -> list[str]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        job = loop.run_in_executor(None, released.wait, 10)
        async with package_database.aconnect(url) as database:
            await publish(database, "1.0")
            found = await versions(database)
        released.set()
        await job
        return found

    assert asyncio.run(use()) == ["1.0"]


def test_an_operation_in_progress_when_the_database_is_closed_ends(gated: Gated) -> None:
    async def use() -> BaseException | None:
        engine = ThreadedEngine(gated)
        await engine.prepare()
        call = asyncio.create_task(engine.execute(QUERY, Deadline(10)))
        await gated.wait_until_reached()
        await engine.aclose()
        gated.gate.set()
        await asyncio.wait([call])
        with pytest.raises(RefusedError, match="the database was closed"):
            await engine.execute(QUERY, Deadline(10))
        return call.exception()

    error = asyncio.run(use())

    assert error is None or getattr(error, "code", "") == "Closed"


def test_a_call_when_the_interpreter_ends_is_not_executed(gated: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = shared_threads._Executor(1)
    ended._executor.shutdown()
    monkeypatch.setattr(shared_threads, "_executor", ended)

    with pytest.raises(UnavailableError, match="interpreter is shutting down"):
        asyncio.run(ThreadedEngine(gated).prepare())


def test_a_call_after_the_deadline_is_not_executed(path: Path) -> None:
    async def use() -> None:
        engine = ThreadedEngine(open_sqlite(SQLiteConfig(path), TABLES))
        try:
            await engine.execute(QUERY, Deadline(-1))
        finally:
            await engine.aclose()

    with pytest.raises(UnavailableError, match="deadline exceeded|was not started|did not finish"):
        asyncio.run(use())


def test_engines_share_a_bounded_number_of_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_threads, "_executor", shared_threads._Executor(4))
    gated = [Gated(path) for _ in range(8)]
    for blocked in gated:
        blocked.reached = gated[0].reached

    async def use() -> tuple[int, list[Any]]:
        engines = [ThreadedEngine(engine) for engine in gated]
        for engine in engines:
            await engine.prepare()
        calls = [asyncio.create_task(engine.execute(QUERY, Deadline(60))) for engine in engines]
        await gated[0].wait_until_reached(4)
        started = sum(bool(blocked.executed) for blocked in gated)
        for blocked in gated:
            blocked.gate.set()
        found = await asyncio.gather(*calls)
        for engine in engines:
            await engine.aclose()
        return started, found

    assert asyncio.run(use()) == (4, [[]] * 8)


def test_an_engine_whose_calls_wait_leaves_threads_to_others(gated: Gated, url: str) -> None:
    async def use() -> list[str]:
        engine = ThreadedEngine(gated)
        calls = [asyncio.create_task(engine.execute(QUERY, Deadline(60))) for _ in range(shared_threads.THREADS)]
        await gated.wait_until_reached(THREADS_OF_ENGINE)
        async with package_database.aconnect(url) as database:
            await publish(database, "1.0")
            found = await versions(database)
        assert len(gated.executed) == THREADS_OF_ENGINE
        gated.gate.set()
        await asyncio.gather(*calls)
        await engine.aclose()
        return found

    assert asyncio.run(use()) == ["1.0"]
    assert len(gated.executed) == shared_threads.THREADS
