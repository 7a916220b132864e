"""Exceptions of signal handlers, at any point of a call: the next call of every thread works."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from types import FrameType
from typing import Any

import pytest

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines import signal_safe_lock
from open_alchemy.package_database.engines.dynamodb import engine, retry
from open_alchemy.package_database.engines.dynamodb.http import (
    async_connect,
    async_connection,
    async_transport,
    happy_eyeballs,
    idle_check,
    semaphore,
    sync_transport,
)
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.transport_errors import ExchangeError
from open_alchemy.package_database.engines.dynamodb.thread_executor import BlockingCalls
from open_alchemy.package_database.engines.dynamodb.timeouts import Timeouts
from tests.apis import config_of
from tests.canned_server import CannedServer, serve, succeed

MODULES = (
    async_connect,
    async_connection,
    async_transport,
    engine,
    happy_eyeballs,
    idle_check,
    signal_safe_lock,
    retry,
    semaphore,
    sync_transport,
)
FILES = {module.__file__ for module in MODULES}
REQUEST = Secret(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
TIMEOUTS = Timeouts(connect=30.0, handshake=30.0, read=30.0)
EVENTS = ["line", pytest.param("opcode", marks=pytest.mark.long)]

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # A socket that an interrupted call drops is closed by the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Interrupted(Exception):  # noqa: N818 (like KeyboardInterrupt)
    """What a signal handler raises."""


class Interrupt:
    """Raises an exception at the nth event of the traced modules in this thread.

    Args:
        events: ``line`` or ``opcode``.
        number: Counted from 1.
    """

    def __init__(self, events: str, number: int) -> None:
        self._events = events
        self.left = number

    def __enter__(self) -> None:
        self._tracer = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        # Coverage's, for example.
        sys.settrace(self._tracer)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        frame.f_trace_opcodes = self._events == "opcode"
        if event == self._events:
            self.left -= 1
            if self.left == 0:
                raise Interrupted
        return self._trace


def endpoint_of(server: CannedServer) -> Endpoint:
    return Endpoint("127.0.0.1", server.server_port, "us-east-1", is_encrypted=False, authority="h")


def call(transport: sync_transport.SyncTransport) -> None:
    transport.exchange(lambda: REQUEST, Deadline(30))


@pytest.fixture(autouse=True)
def no_garbage() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sync_transport, async_transport):
        monkeypatch.setattr(module, "CONNECTIONS", 1)


@pytest.mark.parametrize("events", EVENTS)
@pytest.mark.parametrize("earlier_calls", [0, 1])
def test_a_call_can_be_interrupted_anywhere(one_connection: None, events: str, earlier_calls: int) -> None:
    kept: Interrupted | None = None
    with serve(succeed()) as server, ThreadPoolExecutor(1) as other_thread:
        for number in count(1):
            transport = sync_transport.SyncTransport(endpoint_of(server), None, TIMEOUTS)
            for _ in range(earlier_calls):
                call(transport)
            interrupt = Interrupt(events, number)
            try:
                with interrupt:
                    call(transport)
            except Interrupted as error:
                # Its traceback references the frames of the call.
                kept = error
            other_thread.submit(call, transport).result()
            call(transport)
            transport.close()
            if interrupt.left > 0:
                break

    assert kept is not None
    assert number > 50


def acquire_and_release(waited: semaphore.ThreadSemaphore) -> None:
    ticket = semaphore.Ticket()
    try:
        try:
            waited.acquire(ticket, 30)
        finally:
            waited.release(ticket)
    finally:
        waited.release(ticket)


@pytest.mark.parametrize("events", EVENTS)
def test_a_call_that_waits_can_be_interrupted_anywhere(events: str) -> None:
    waited = semaphore.ThreadSemaphore(1)

    def release_when_awaited(ticket: semaphore.Ticket, has_ended: threading.Event) -> None:
        while not has_ended.wait(0.001) and not waited._queue.waiting():
            pass
        waited.release(ticket)

    for number in count(1):
        first, has_ended = semaphore.Ticket(), threading.Event()
        waited.acquire(first, 30)
        releasing = threading.Thread(target=release_when_awaited, args=[first, has_ended])
        releasing.start()
        interrupt = Interrupt(events, number)
        with contextlib.suppress(Interrupted), interrupt:
            acquire_and_release(waited)
        has_ended.set()
        releasing.join()
        acquire_and_release(waited)
        if interrupt.left > 0:
            break

    assert number > 15  # A call that was scheduled late does not wait, and executes fewer lines.


@pytest.mark.parametrize("events", EVENTS)
@pytest.mark.parametrize("earlier_calls", [0, 1])
def test_a_call_of_asyncio_can_be_interrupted_anywhere(one_connection: None, events: str, earlier_calls: int) -> None:
    async def use(transport: async_transport.AsyncTransport, interrupt: Interrupt) -> None:
        for _ in range(earlier_calls):
            await transport.exchange(lambda: REQUEST, Deadline(30))
        with contextlib.suppress(Interrupted, ExchangeError, TimeoutError), interrupt:
            await asyncio.wait_for(transport.exchange(lambda: REQUEST, Deadline(0.2)), 0.2)
        await transport.exchange(lambda: REQUEST, Deadline(30))

    with serve(succeed()) as server:
        for number in count(1):
            threads, interrupt = BlockingCalls(1), Interrupt(events, number)
            transport = async_transport.AsyncTransport(endpoint_of(server), None, TIMEOUTS, threads)
            run_silently(use(transport, interrupt))
            threads.close()
            if interrupt.left > 0:
                break

    assert number > 50


@pytest.mark.parametrize("events", ["line", "opcode"])
def test_the_quota_can_be_used_after_an_interruption_anywhere(events: str) -> None:
    for number in count(1):
        quota, interrupt = retry.Quota(), Interrupt(events, number)
        with contextlib.suppress(Interrupted), interrupt:
            quota.acquire(14)
            quota.release(14)

        assert retry.QUOTA - 14 <= quota.left <= retry.QUOTA
        assert quota.acquire(retry.QUOTA - 14)
        if interrupt.left > 0:
            break

    assert number > 5


@pytest.mark.parametrize("events", ["line", "opcode"])
def test_creating_the_client_can_be_interrupted_anywhere(events: str) -> None:
    kept: Interrupted | None = None
    with ThreadPoolExecutor(1) as other_thread:
        for number in count(1):
            opened, interrupt = engine.DynamoDBEngine(config_of("http://127.0.0.1:1")), Interrupt(events, number)
            try:
                with interrupt:
                    opened.prepare()
            except Interrupted as error:
                # Its traceback references the frames of the call.
                kept = error
            other_thread.submit(opened.prepare).result(timeout=30)
            if interrupt.left > 0:
                break

    assert kept is not None
    assert number > 10


def run_silently(steps: Coroutine[Any, Any, None]) -> None:
    """Runs steps in a loop that does not log the exceptions of interrupted callbacks."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda *_: None)
        runner.run(steps)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no interval timer")
def test_calls_work_after_ten_thousand_random_interruptions(one_connection: None) -> None:
    is_inside = False

    def interrupt(*_: object) -> None:
        if is_inside:
            raise Interrupted

    chance = random.Random(1)  # noqa: S311 (no secret)
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with serve(succeed()) as server, ThreadPoolExecutor(1) as other_thread:
            transport = sync_transport.SyncTransport(endpoint_of(server), None, TIMEOUTS)
            interruptions = 0
            while interruptions < 10_000:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 5e-4))
                try:
                    is_inside = True
                    call(transport)
                    is_inside = False
                except Interrupted:
                    is_inside = False
                    interruptions += 1
                if interruptions % 100 == 0:
                    other_thread.submit(call, transport).result()
            transport.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
