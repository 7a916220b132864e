"""The broker's side of calls, without sockets: limits, deadlines, age and instances."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from open_alchemy.package_database import ConfigurationError, TConnectedDatabase, get
from open_alchemy.package_database.broker.exposed import Function
from open_alchemy.package_database.broker.function_executor import Functions, load
from open_alchemy.package_database.broker.served_instances import ServedInstance
from open_alchemy.package_database.broker.served_store import MAX_AGE
from open_alchemy.package_database.broker.server import Server
from open_alchemy.package_database.broker.subscriptions import Subscriptions
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.engines.broker.client_protocol import wall_clock
from open_alchemy.package_database.engines.broker.messages import Call, Failed, Get, Returned
from open_alchemy.package_database.instances import instance_id
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine
from tests.broker import application
from tests.broker.brokers import OpenInstance, store_of
from tests.broker.recording import RecordingTransport
from tests.broker.test_server import in_loop

gate = threading.Event()
state = SimpleNamespace(cancelled=0)


def wait() -> str:
    gate.wait(20)
    return "ended"


async def ignore_cancellation() -> None:
    event = asyncio.Event()
    try:
        await event.wait()
    except asyncio.CancelledError:
        state.cancelled += 1
        raise ValueError("canary") from None


def close_database() -> str | None:
    cast("TConnectedDatabase", get()).close()
    return instance_id()


FUNCTIONS = [Function(call, is_repeatable=False) for call in (wait, ignore_cancellation, close_database)]


def name(call: Callable[..., Any]) -> str:
    return f"{__name__}:{call.__name__}"


@asynccontextmanager
async def broker(*, threads: int = 64, **options: Any) -> AsyncIterator[RecordingTransport]:
    engine, async_engine = MemoryEngine(), AsyncMemoryEngine()
    store = store_of(engine, async_engine)
    server, transport = Server({"": store, "test": store}, **options), RecordingTransport()
    instances = {
        name: ServedInstance(OpenInstance(engine, async_engine, name or None), name, Subscriptions())
        for name in ("", "test")
    }
    by_name = {function.name: function for function in FUNCTIONS}
    server.handlers[Call] = Functions(by_name, instances, threads=threads).call
    await server.start(transport)
    gate.clear()
    try:
        yield transport
    finally:
        gate.set()
        await server.aclose()


@in_loop
async def test_calls_wait_for_a_thread_until_their_deadline() -> None:
    async with broker(threads=1) as transport:
        transport.request(1, Call(name(wait), {}), seconds=5)
        transport.request(2, Call(name(wait), {}), seconds=0.05)
        failed = await transport.answer(2)
        assert (failed.error, failed.code) == ("UnavailableError", "DeadlineExceeded")
        gate.set()
        assert await transport.answer(1) == Returned("ended")


@in_loop
async def test_a_thread_that_does_not_end_is_answered_at_the_deadline_and_occupies_its_place() -> None:
    async with broker(threads=1) as transport:
        transport.request(1, Call(name(wait), {}), seconds=0.05)
        assert isinstance(await transport.answer(1), Failed)
        transport.request(2, Call(name(wait), {}), seconds=0.05)
        assert isinstance(await transport.answer(2), Failed)
        gate.set()
        transport.request(3, Call(name(wait), {}))
        assert await transport.answer(3) == Returned("ended")


@in_loop
async def test_blocked_threads_do_not_delay_operations() -> None:
    async with broker(threads=2) as transport:
        for id_ in range(1, 6):
            transport.request(id_, Call(name(wait), {}))
        transport.request(10, Get(SPECS.name, "u", "a"))
        await transport.answer(10)
        assert [answer.id for answer in transport.answers] == [10]


@in_loop
async def test_a_coroutine_is_cancelled_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    state.cancelled = 0
    async with broker() as transport:
        transport.request(1, Call(name(ignore_cancellation), {}), seconds=0.05)
        failed = await transport.answer(1)
        assert failed.code == "DeadlineExceeded"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert state.cancelled == 1
    assert "canary" not in caplog.text


@pytest.mark.parametrize("age", [MAX_AGE + 1, -MAX_AGE - 1])
@in_loop
async def test_an_old_call_is_refused(age: float) -> None:
    async with broker() as transport:
        transport.request(1, Call(name(wait), {}), sent=wall_clock() - age)
        assert (await transport.answer(1)).code == "RequestExpired"


@pytest.mark.parametrize("function", ["", "os:system", f"{__name__}:broker", "application"])
@in_loop
async def test_whatever_is_not_exposed_is_refused(function: str) -> None:
    async with broker() as transport:
        transport.deliver(b'J[1,1,%d,5,["call","%s",{}]]' % (wall_clock(), function.encode()))
        assert (await transport.answer(1)).code in ("NotExposed", "Malformed")


@pytest.mark.parametrize(("instance", "expected"), [("", None), ("test", "test")])
@in_loop
async def test_a_call_uses_the_instance_of_its_request_and_cannot_close_it(
    instance: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broker() as transport:
        request = b'J[1,%d,%d,5,["call","%s",{}],"%s"]'
        for id_ in (1, 2):
            transport.deliver(request % (id_, wall_clock(), name(close_database).encode(), instance.encode()))
            assert await transport.answer(id_) == Returned(expected)


def test_the_exposed_functions_of_a_module_are_found() -> None:
    found = load([application.__name__])
    assert f"{application.__name__}:names" in found
    assert all(name.startswith(f"{application.__name__}:") for name in found)


@pytest.mark.parametrize(
    ("module", "message"),
    [("no_such_module_of_test", "ModuleNotFoundError"), ("json", "no function"), ("", "ValueError")],
)
def test_a_module_that_exposes_nothing_is_refused(module: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load([module])


def test_the_command_refuses_a_module_that_it_cannot_import(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as caught:
        commands(["broker", "--url", "sqlite://", "--expose", "no_such_module_of_test"])
    assert caught.value.code == 2
    assert "cannot import 'no_such_module_of_test' of --expose" in capsys.readouterr().err
