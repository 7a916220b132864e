"""What counts towards which timeout, and what asyncio waits for."""

from __future__ import annotations

import asyncio
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb.http import (
    async_connect,
    async_transport,
    happy_eyeballs,
    sync_transport,
)
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.transport_errors import ExchangeError
from open_alchemy.package_database.engines.dynamodb.thread_executor import BlockingCalls
from open_alchemy.package_database.engines.dynamodb.timeouts import Timeouts
from tests.apis import aconnect_to, config_of
from tests.canned_server import CannedServer, Handler, serve, succeed
from tests.faults.sockets import black_hole

REQUEST = Secret(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")

Exchange: TypeAlias = Callable[[], bytes]
Opener: TypeAlias = Callable[[CannedServer, Timeouts], Exchange]


@pytest.fixture(params=["sync", "async"])
def open_exchange(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens a transport, and returns the function that makes an exchange over it."""
    with ExitStack() as stack:

        def open_transport(server: CannedServer, timeouts: Timeouts) -> Exchange:
            endpoint = Endpoint("db.example", server.server_port, "us-east-1", is_encrypted=False, authority="h")
            if request.param == "sync":
                transport = sync_transport.SyncTransport(endpoint, None, timeouts)
                stack.callback(transport.close)
                return lambda: transport.exchange(lambda: REQUEST, Deadline(30)).body
            threads = BlockingCalls(1)
            stack.callback(threads.close)
            runner = stack.enter_context(asyncio.Runner())
            awaited = async_transport.AsyncTransport(endpoint, None, timeouts, threads)

            async def exchange() -> bytes:
                return (await awaited.exchange(lambda: REQUEST, Deadline(30))).body

            return lambda: runner.run(exchange())

        yield open_transport


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int], seconds: float = 0.0) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        time.sleep(seconds)
        return found

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)


def record_timeout(connect: Callable[..., Any], given: list[float]) -> Callable[..., Any]:
    """Records the timeout of a connection, and replaces it by one that a busy machine does not exceed."""

    def connect_slowly(addresses: Any, seconds: float) -> Any:
        given.append(seconds)
        return connect(addresses, 30)

    return connect_slowly


def test_name_lookup_does_not_count_as_connecting(open_exchange: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(succeed()) as server:
        resolve_to(monkeypatch, ("127.0.0.1", server.server_port), seconds=0.01)
        given: list[float] = []
        for module in (sync_transport, async_transport):
            monkeypatch.setattr(module, "connect", record_timeout(module.connect, given))

        assert open_exchange(server, Timeouts(connect=0.05, handshake=30, read=30))() == b"{}"

    assert given == [0.05]


def test_the_second_address_is_tried_while_the_first_does_not_answer() -> None:
    with serve(succeed()) as server, black_hole() as hole:
        port = int(hole.rpartition(":")[2])
        addresses = [(socket.AF_INET, ("127.0.0.1", number)) for number in (port, server.server_port)]

        with happy_eyeballs.connect(addresses, 30) as connected:
            assert connected.getpeername() == addresses[1][1]
        with asyncio.run(async_connect.connect(addresses, 30)) as connected:
            assert connected.getpeername() == addresses[1][1]


def test_connecting_ends_when_its_time_is_over() -> None:
    with black_hole() as hole:
        addresses = [(socket.AF_INET, ("127.0.0.1", int(hole.rpartition(":")[2])))]

        with pytest.raises(TimeoutError):
            happy_eyeballs.connect(addresses, 0.01)
        with pytest.raises(TimeoutError):
            asyncio.run(async_connect.connect(addresses, 0.01))


def test_address_families_are_tried_in_turn() -> None:
    v4, v6 = socket.AF_INET, socket.AF_INET6

    assert happy_eyeballs.interleave([(v6, 1), (v6, 2), (v6, 3), (v4, 4)]) == [(v6, 1), (v4, 4), (v6, 2), (v6, 3)]


class ClosedByServer:
    """An idle connection that the server has closed."""

    def __init__(self) -> None:
        self.idle_check = self
        self.is_closed = False

    def is_usable(self) -> bool:
        return False

    def close(self) -> None:
        self.is_closed = True


def test_idle_connections_that_the_server_closed_are_closed_on_use() -> None:
    with serve(succeed()) as server:
        endpoint = Endpoint("127.0.0.1", server.server_port, "us-east-1", is_encrypted=False, authority="h")
        transport = sync_transport.SyncTransport(endpoint, None, Timeouts.of(30))
        transport.exchange(lambda: REQUEST, Deadline(30))
        idle: Any = transport._idle
        closed = [ClosedByServer() for _ in range(3)]
        idle.extendleft(closed)
        for _ in range(3):
            transport.exchange(lambda: REQUEST, Deadline(30))

        assert [connection.is_closed for connection in closed] == [True] * 3
        assert len(idle) == 1
        assert server.connections == 1
        transport.close()


def test_an_idle_connection_that_the_server_closed_leaves_the_pool_of_its_loop() -> None:
    def then_close(handler: Handler) -> None:
        succeed()(handler)
        handler.close_connection = True

    async def use(port: int) -> None:
        endpoint = Endpoint("127.0.0.1", port, "us-east-1", is_encrypted=False, authority="h")
        transport = async_transport.AsyncTransport(endpoint, None, Timeouts.of(30), BlockingCalls(1))
        await transport.exchange(lambda: REQUEST, Deadline(30))
        (pool,) = transport._pools.values()
        for connection in list(pool.open):
            await connection.lost

        assert (list(pool.idle), pool.open) == ([], set())

    with serve(then_close) as server:
        asyncio.run(use(server.server_port))


@pytest.mark.parametrize("size", [10, 200_000])
def test_no_call_waits_for_the_default_executor(size: int) -> None:
    is_over = threading.Event()

    async def use(url: str) -> Any:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, is_over.wait)
        try:
            return await aconnect_to(config_of(url)).get_spec(sub="u1", name="a")
        finally:
            is_over.set()
            await busy

    item = {name: {"S": "1"} for name in ("sub", "id", "name", "updated_at", "version", "revision")}
    item |= {"model_count": {"N": "1"}, "title": {"S": "x" * size}}
    keys = {"updated_at_id": {"S": "latest#1"}, "id_updated_at": {"S": "1#latest"}}
    with serve(succeed({"Item": item | keys, "Items": [item | keys], "Count": 1})) as server:
        assert asyncio.run(use(server.url)) is not None


class Link:
    """A connection with a round trip time and a rate, in the time of a clock that only it moves."""

    def __init__(self, *, round_trip: float = 0.0, rate: float = math.inf) -> None:
        self.now = 0.0
        self._round_trip, self._rate = round_trip, rate
        self._timeout = math.inf
        self._left = 0

    def clock(self) -> float:
        return self.now

    def connect(self, _addresses: object, seconds: float) -> Link:
        self._wait(self._round_trip, seconds)
        return self

    def wrap_socket(self, _connected: object, server_hostname: str) -> Link:
        del server_hostname
        # TLS 1.2 takes two round trips.
        self._wait(2 * self._round_trip, self._timeout)
        return self

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def send(self, data: bytes) -> int:
        self._left = len(RESPONSE)
        return len(data)

    def recv(self, size: int) -> bytes:
        arrived = min(1460, size, self._left)
        start = len(RESPONSE) - self._left
        self._wait(self._round_trip * (start == 0) + arrived / self._rate, self._timeout)
        self._left -= arrived
        return RESPONSE[start : start + arrived]

    def fileno(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to close."""

    def _wait(self, seconds: float, limit: float) -> None:
        self.now += min(seconds, limit)
        if seconds > limit:
            raise TimeoutError


RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b" " * 1_000_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only when nothing else is left to do: then it jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(JumpingSelector(self))

    def time(self) -> float:
        return self.now


class JumpingSelector(selectors.SelectSelector):
    """Reports no event, and moves the clock of its loop by the timeout."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing will ever happen"
        self._loop.now += max(0.0, timeout)
        return []


class AsyncLink:
    """The ``Link`` for an event loop: what ``connect`` returns, and the transport of the connection over it."""

    def __init__(self, loop: VirtualLoop, *, round_trip: float = 0.0, rate: float = math.inf) -> None:
        self._loop = loop
        self._round_trip, self._rate = round_trip, rate
        self._connection: Any = None

    async def connect(self, _addresses: object, seconds: float) -> AsyncLink:
        async with asyncio.timeout(seconds):
            await asyncio.sleep(self._round_trip)
        return self

    async def create_connection(self, new_connection: Callable[[], Any], **_: object) -> None:
        await asyncio.sleep(2 * self._round_trip)
        self._connection = new_connection()
        self._connection.connection_made(self)

    def get_extra_info(self, _name: str) -> AsyncLink:
        return self

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, _data: bytes) -> None:
        self._loop.call_later(self._round_trip, self._receive, RESPONSE)

    def _receive(self, rest: bytes) -> None:
        if self._connection is not None and rest:
            self._loop.call_later(1460 / self._rate, self._deliver, rest)

    def _deliver(self, rest: bytes) -> None:
        if self._connection is not None:
            arrived = rest[:1460]
            self._connection.get_buffer(-1)[: len(arrived)] = arrived
            self._connection.buffer_updated(len(arrived))
            self._receive(rest[1460:])

    def fileno(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to close."""

    def abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._loop.call_soon(connection.connection_lost, None)


class Addresses:
    """A name lookup that takes no time."""

    async def result(self, _seconds: float) -> list[Any]:
        return []


ENDPOINT = Endpoint("db.example", 443, "us-east-1", is_encrypted=True, authority="h")
ExchangeOver: TypeAlias = Callable[..., tuple[int, float]]


def transport_over_link(
    loop: Any, monkeypatch: pytest.MonkeyPatch, **properties: float
) -> async_transport.AsyncTransport:
    """Returns a transport over a link with TLS, with the default timeouts."""
    link: Any = AsyncLink(loop, **properties)
    monkeypatch.setattr(async_transport, "connect", link.connect)
    monkeypatch.setattr(loop, "create_connection", link.create_connection)
    threads: Any = SimpleNamespace(shared=lambda _: Addresses())
    return async_transport.AsyncTransport(ENDPOINT, link, Timeouts.of(5.0), threads)


@pytest.fixture(params=["sync", "async"])
def exchange_over(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ExchangeOver:
    """Makes an exchange over a link with TLS, with the default deadline; returns the response's size and the time."""

    def over_link(**properties: float) -> tuple[int, float]:
        link: Any = Link(**properties)
        monkeypatch.setattr(sync_transport, "resolve", lambda *_: [])
        monkeypatch.setattr(sync_transport, "connect", link.connect)
        monkeypatch.setattr(sync_transport, "time", SimpleNamespace(monotonic=link.clock))
        transport = sync_transport.SyncTransport(ENDPOINT, link, Timeouts.of(5.0))
        try:
            size = transport.exchange(lambda: REQUEST, Deadline(5.0, clock=link.clock)).size
        except ExchangeError as error:
            raise FailedError(str(error), link.now) from error
        finally:
            transport.close()
        return size, link.now

    def over_async_link(**properties: float) -> tuple[int, float]:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop: Any = runner.get_loop()
            transport = transport_over_link(loop, monkeypatch, **properties)
            try:
                size = runner.run(exchange(transport, Deadline(5.0, clock=loop.time)))
            except ExchangeError as error:
                raise FailedError(str(error), loop.now) from error
            return size, loop.now

    async def exchange(transport: async_transport.AsyncTransport, deadline: Deadline) -> int:
        return (await transport.exchange(lambda: REQUEST, deadline)).size

    return over_link if request.param == "sync" else over_async_link


class FailedError(Exception):
    """An exchange failed.

    Attributes:
        seconds: When.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


def test_a_round_trip_of_300_ms_leaves_time_to_connect(exchange_over: ExchangeOver) -> None:
    size, seconds = exchange_over(round_trip=0.3)

    assert size == 1_000_000
    assert seconds == pytest.approx(0.3 + 0.6 + 0.3)


def test_a_page_of_1_mb_may_take_longer_than_the_read_timeout(exchange_over: ExchangeOver) -> None:
    size, seconds = exchange_over(round_trip=0.05, rate=4_000_000 / 8)

    assert size == 1_000_000
    assert Timeouts.of(5.0).read < 2.0 < seconds < 2.3


def test_waiting_for_a_connection_does_not_count_as_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_transport, "CONNECTIONS", 1)

    async def use(transport: async_transport.AsyncTransport, deadline: Deadline) -> list[int]:
        exchanges = [transport.exchange(lambda: REQUEST, deadline) for _ in range(4)]
        return [response.size for response in await asyncio.gather(*exchanges)]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop: Any = runner.get_loop()
        transport = transport_over_link(loop, monkeypatch, rate=1_000_000)
        sizes = runner.run(use(transport, Deadline(60, clock=loop.time)))

    assert sizes == [1_000_000] * 4
    assert loop.now > 3 > Timeouts.of(5.0).read


def test_a_handshake_that_takes_too_long_fails(exchange_over: ExchangeOver) -> None:
    with pytest.raises(FailedError, match="connecting took too long") as failed:
        exchange_over(round_trip=0.8)

    assert failed.value.seconds == pytest.approx(0.8 + 1.0)


def test_a_response_that_stalls_ends_before_the_deadline(exchange_over: ExchangeOver) -> None:
    with pytest.raises(FailedError, match="no answer came in time") as failed:
        exchange_over(rate=100)

    assert failed.value.seconds == pytest.approx(1.5)
