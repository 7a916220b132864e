"""The async API: event loops, cancellation and closing; calls do not block the loop."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import (
    AsyncTDatabase,
    CredentialsAuthInfo,
    RefusedError,
    TDatabase,
    UnavailableError,
    ValidationError,
)
from open_alchemy.package_database.database import AsyncDatabase, open_async_database, open_database
from open_alchemy.package_database.engines.dynamodb import boto3_client
from open_alchemy.package_database.engines.dynamodb.http import async_transport
from open_alchemy.package_database.engines.dynamodb.retry import QUOTA
from open_alchemy.package_database.engines.dynamodb.timeouts import CONNECTIONS
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine, MemoryStore
from tests.apis import aconnect_to, config_of
from tests.canned_server import CannedServer, Handler, serve, stay_silent, succeed
from tests.simulation.invariants import check_specs

ROOT = Path(__file__).parents[2]
ITEM = {"Item": {"version": {"S": "1.0"}}}


def open_at(url: str, *, deadline: float = 60.0) -> AsyncDatabase:
    return aconnect_to(config_of(url, deadline=deadline))


async def version(database: AsyncTDatabase) -> str:
    return await database.get_latest_spec_version(sub="u1", name="a")


def functions(api: type) -> dict[str, Any]:
    return {name: value for name, value in vars(api).items() if inspect.isfunction(value) and name[0] != "_"}


def test_both_apis_have_the_same_functions() -> None:
    blocking, awaiting = functions(TDatabase), functions(AsyncTDatabase)

    assert len(blocking) == 19
    assert awaiting.keys() - blocking.keys() == {"aclose"}
    for name, function in blocking.items():
        assert inspect.signature(awaiting[name]).parameters == inspect.signature(function).parameters
        assert getattr(AsyncDatabase, name).__doc__ == function.__doc__
    for name in blocking.keys() - {"iter_specs", "iter_spec_snapshots"}:
        assert inspect.signature(awaiting[name]) == inspect.signature(blocking[name])
        assert inspect.iscoroutinefunction(
            inspect.unwrap(getattr(AsyncDatabase, name), stop=inspect.iscoroutinefunction)
        )


def test_get_async_returns_the_same_database_every_time(fresh_process: None) -> None:
    assert package_database.get_async() is package_database.get_async()


def test_get_async_reports_an_invalid_stage(fresh_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "OTHER")

    with pytest.raises(package_database.ConfigurationError, match="STAGE is 'OTHER'"):
        package_database.get_async()


def test_an_argument_is_refused_before_any_io() -> None:
    database = open_at("http://127.0.0.1:1")

    with pytest.raises(ValidationError, match="sub must have"):
        asyncio.run(database.get_spec(sub="", name="a"))


def test_concurrent_calls_share_a_limited_number_of_connections() -> None:
    async def calls(database: AsyncDatabase) -> list[str]:
        return await asyncio.gather(*(version(database) for _ in range(200)))

    with serve(succeed(ITEM)) as server:
        assert asyncio.run(calls(open_at(server.url, deadline=60.0))) == ["1.0"] * 200

        assert 1 < server.connections <= 50


def test_one_database_works_in_one_loop_after_another() -> None:
    with serve(succeed(ITEM)) as server:
        database = open_at(server.url)

        assert [asyncio.run(version(database)) for _ in range(3)] == ["1.0"] * 3
        assert server.connections == 3


def test_one_database_works_in_several_loops_at_the_same_time() -> None:
    async def calls() -> None:
        found.extend([await version(database) for _ in range(50)])

    found: list[str] = []
    with serve(succeed(ITEM)) as server:
        database = open_at(server.url)
        threads = [threading.Thread(target=lambda: asyncio.run(calls())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert found == ["1.0"] * 200
        assert server.connections == 4


def await_close(closed: queue.SimpleQueue[bool]) -> Callable[[Handler], None]:
    """Responds, and records when the client closes the connection."""

    def answer(handler: Handler) -> None:
        succeed(ITEM)(handler)
        handler.connection.settimeout(30)
        closed.put(handler.connection.recv(1) == b"")
        handler.close_connection = True

    return answer


async def leave_the_context(database: AsyncDatabase) -> None:
    async with database as entered:
        assert entered is database
        await version(database)


async def close_by_hand(database: AsyncDatabase) -> None:
    await version(database)
    await database.aclose()
    await database.aclose()


async def leave_the_loop(database: AsyncDatabase) -> None:
    await version(database)


@pytest.mark.parametrize("end", [leave_the_context, close_by_hand, leave_the_loop])
def test_connections_are_closed(end: Callable[[AsyncDatabase], Any]) -> None:
    closed: queue.SimpleQueue[bool] = queue.SimpleQueue()
    with serve(await_close(closed)) as server:
        asyncio.run(end(open_at(server.url)))

        assert closed.get()


def test_a_closed_database_refuses_every_call_in_every_loop() -> None:
    with serve(succeed(ITEM)) as server:
        database = open_at(server.url)
        asyncio.run(close_by_hand(database))
        for _ in range(2):
            with pytest.raises(RefusedError, match="the database was closed") as caught:
                asyncio.run(version(database))
            assert caught.value.code == "Closed"


def test_the_end_of_a_loop_does_not_close_the_database() -> None:
    with serve(succeed(ITEM)) as server:
        database = open_at(server.url)
        asyncio.run(version(database))

        assert asyncio.run(version(database)) == "1.0"


def test_closing_in_one_loop_closes_the_connections_of_another() -> None:
    async def close_elsewhere(database: AsyncDatabase) -> bool:
        await version(database)
        engine: Any = database.engine
        (pool,) = engine._client._transport._pools.values()
        (connection,) = pool.open
        await asyncio.to_thread(asyncio.run, database.aclose())
        await asyncio.wait_for(connection.lost, 30)
        return bool(connection.is_open)

    with serve(succeed(ITEM)) as server:
        assert not asyncio.run(close_elsewhere(open_at(server.url)))


def test_an_unused_database_can_be_closed() -> None:
    asyncio.run(open_at("http://127.0.0.1:1").aclose())


def test_nothing_is_left_open_when_a_process_ends() -> None:
    script = (
        "import asyncio, logging, sys\n"
        "logging.getLogger('asyncio').setLevel(logging.ERROR)\n"  # a slow callback is a warning
        "from tests.unit.test_async import open_at, version\n"
        "database = open_at(sys.argv[1])\n"
        "print([asyncio.run(version(database)) for _ in range(2)])\n"
    )
    with serve(succeed(ITEM)) as server:
        finished = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", script, server.url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "['1.0', '1.0']\n", "")


def test_a_cancelled_call_closes_its_connection() -> None:
    async def use(database: AsyncDatabase) -> str:
        for number in range(1, 61):
            call = asyncio.create_task(version(database))
            await asyncio.to_thread(server.wait_for_requests, number)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        engine: Any = database.engine
        (pool,) = engine._client._transport._pools.values()
        await asyncio.gather(*(connection.lost for connection in pool.open))
        assert (list(pool.idle), pool.open) == ([], set())
        return await version(database)

    with serve(*[stay_silent] * 60, succeed(ITEM)) as server:
        assert asyncio.run(use(open_at(server.url))) == "1.0"


async def fill_the_pool(database: AsyncDatabase, server: CannedServer) -> list[asyncio.Task[str]]:
    """Starts one call per connection, and one more call that waits for a connection."""
    calls = [asyncio.create_task(version(database)) for _ in range(CONNECTIONS + 1)]
    await asyncio.to_thread(server.wait_for_requests, CONNECTIONS)
    return calls


@pytest.mark.parametrize("turns", range(6))
def test_a_call_can_be_cancelled_while_it_waits_for_a_connection(turns: int) -> None:
    """Cancels the call after a connection was released, and before the call has acquired it."""

    async def use(database: AsyncDatabase) -> bool:
        *busy, waiting = await fill_the_pool(database, server)
        busy[0].cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=60)
        was_cancelled = waiting.cancelled()
        for call in busy:
            call.cancel()
        return was_cancelled

    with serve(stay_silent) as server:
        assert asyncio.run(use(open_at(server.url)))


def test_calls_without_a_free_connection_fail_at_the_deadline_and_name_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(async_transport, "CONNECTIONS", 1)

    async def use(database: AsyncDatabase) -> list[BaseException | str]:
        with pytest.raises(UnavailableError, match="ReadTimeoutError"):
            await version(database)
        return await asyncio.gather(*(version(database) for _ in range(100)), return_exceptions=True)

    with serve(stay_silent) as server:
        errors = asyncio.run(use(open_at(server.url, deadline=0.3)))

    # A call that gets the connection fails as the first one; on a busy machine some calls start after the deadline.
    assert {type(error) for error in errors} == {UnavailableError}
    queued = [error for error in errors if getattr(error, "code", None) == "PoolTimeoutError"]
    assert queued
    assert all("queue for" in str(error) for error in queued)


def test_a_call_that_waits_for_a_connection_holds_few_objects() -> None:
    async def use(database: AsyncDatabase) -> float:
        calls = await fill_the_pool(database, server)
        calls += [asyncio.create_task(version(database)) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0)
        gc.collect()
        before = len(gc.get_objects())
        waiting = [asyncio.create_task(version(database)) for _ in range(1000)]
        await asyncio.sleep(0)
        gc.collect()
        count = len(gc.get_objects()) - before
        for call in (*calls, *waiting):
            call.cancel()
        await asyncio.wait(waiting)
        return count / len(waiting)

    with serve(stay_silent) as server:
        # A task alone has about seven: itself, its coroutine, context, future and what connects them.
        assert asyncio.run(use(open_at(server.url, deadline=60.0))) < 12


def test_an_invalid_argument_of_a_call_that_waits_is_no_secret_in_a_traceback() -> None:
    secret = b"canary of the salt"

    async def use(database: AsyncDatabase) -> str:
        calls = await fill_the_pool(database, server)
        calls += [asyncio.create_task(version(database)) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0)
        waiting = asyncio.create_task(
            database.create_update_credentials(sub="u", id_="1", public_key="p", secret_key_hash=secret, salt=secret)
        )
        await asyncio.sleep(0)
        shown = str([frame.f_locals for frame in waiting.get_stack()])
        for call in (*calls, waiting):
            call.cancel()
        await asyncio.wait([waiting])
        return shown

    with serve(stay_silent) as server:
        shown = asyncio.run(use(open_at(server.url)))

    assert "secret bytes" in shown
    assert "canary" not in shown


def test_closing_during_calls_closes_every_connection() -> None:
    async def use(database: AsyncDatabase) -> int:
        calls = [asyncio.create_task(version(database)) for _ in range(CONNECTIONS + 30)]
        await asyncio.to_thread(server.wait_for_requests, CONNECTIONS)
        engine: Any = database.engine
        (pool,) = engine._client._transport._pools.values()
        is_closing.set()
        await database.aclose()
        await asyncio.wait(calls)
        return len([connection for connection in pool.open if connection.is_open])

    is_closing = threading.Event()

    def answer_during_the_close(handler: Handler) -> None:
        is_closing.wait()
        succeed(ITEM)(handler)

    with serve(answer_during_the_close) as server:
        assert asyncio.run(use(open_at(server.url))) == 0


def test_calls_over_boto3_that_wait_for_a_thread_fail_at_the_deadline_and_cost_no_quota(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boto3_client, "CONNECTIONS", 1)

    is_over = threading.Event()

    async def use(database: AsyncDatabase) -> tuple[list[Any], int]:
        await database.engine.prepare()
        engine: Any = database.engine
        engine._client._threads.submit(is_over.wait)
        errors = await asyncio.gather(*(version(database) for _ in range(20)), return_exceptions=True)
        is_over.set()
        return errors, engine._executor._quota.left

    with serve(stay_silent) as server:
        database = aconnect_to(config_of(server.url, deadline=0.5)._replace(wire="boto3"))
        errors, quota = asyncio.run(use(database))

        assert server.requests == []
    assert all(isinstance(error, UnavailableError) for error in errors)
    assert {error.code for error in errors} == {"PoolTimeoutError"}
    assert quota == QUOTA


def test_the_timeout_of_the_caller_may_be_shorter_than_the_deadline() -> None:
    async def use(database: AsyncDatabase) -> None:
        async with asyncio.timeout(0.05):
            await version(database)

    with serve(stay_silent) as server, pytest.raises(TimeoutError):
        asyncio.run(use(open_at(server.url)))


class Interrupted(AsyncMemoryEngine):
    """Cancels the call at its nth operation."""

    def __init__(self, store: MemoryStore, steps: int) -> None:
        super().__init__(store)
        self.steps = steps

    async def execute(self, *arguments: Any) -> Any:
        if self.steps == 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        self.steps -= 1
        await asyncio.sleep(0)
        return await super().execute(*arguments)


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("function", ["create_update_spec", "delete_spec", "delete_all"])
def test_a_call_cancelled_at_any_operation_leaves_complete_specs(function: str, steps: int) -> None:
    store = MemoryStore()
    plain = open_database(MemoryEngine(store))
    for number in range(3):
        plain.create_update_spec(sub="u1", name="a", version=str(number), model_count=1)
    arguments: dict[str, dict[str, Any]] = {
        "create_update_spec": {"sub": "u1", "name": "a", "version": "new", "model_count": 1},
        "delete_spec": {"sub": "u1", "name": "a"},
        "delete_all": {"sub": "u1"},
    }
    database = open_async_database(Interrupted(store, steps))

    async def call() -> bool:
        task = asyncio.create_task(getattr(database, function)(**arguments[function]))
        await asyncio.wait([task])
        return task.cancelled()

    was_cancelled = asyncio.run(call())

    check_specs(store)
    assert was_cancelled or steps > 0


LOOP_WATCH = """
import asyncio, sys, threading
from open_alchemy import package_database

database = package_database.get_async()
blocking, calls = [], 0

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "time.sleep") and threading.current_thread() is threading.main_thread():
        blocking.append(event)

def count(frame, event, argument):
    global calls
    calls += event in ("call", "c_call")

async def main():
    global calls
    longest = 0
    async def use():
        for _ in range(20):
            assert await database.get_latest_spec_version(sub="u1", name="My.Spec") == "1.0"
    task = asyncio.create_task(use())
    sys.setprofile(count)  # of this thread
    while not task.done():
        calls = 0
        await asyncio.sleep(0)
        longest = max(longest, calls)
    sys.setprofile(None)
    await task
    print(longest, blocking, "boto3" in sys.modules)

sys.addaudithook(watch)
asyncio.run(main())
"""


@pytest.mark.parametrize("wire", ["lean", "boto3"])
def test_the_first_call_does_not_block_the_loop(wire: str) -> None:
    """Counts the function calls of one turn of the loop: a measured time would depend on the machine."""
    with serve(succeed(ITEM)) as server:
        environment = {"STAGE": "TEST", "AWS_ENDPOINT_URL_DYNAMODB": server.url, "PACKAGE_DATABASE_WIRE": wire}
        finished = subprocess.run(
            [sys.executable, "-c", LOOP_WATCH],
            env={**os.environ, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert finished.returncode == 0, finished.stderr
    calls, called = finished.stdout.split(maxsplit=1)
    assert called.strip() == f"[] {wire == 'boto3'}"
    assert int(calls) < 5_000


@pytest.mark.parametrize("api", [TDatabase, AsyncTDatabase])
def test_the_type_hints_of_every_function_can_be_evaluated(api: type) -> None:
    hints = {name: get_type_hints(function) for name, function in vars(api).items() if inspect.isfunction(function)}

    assert hints["get_user"]["return"] == CredentialsAuthInfo | None
