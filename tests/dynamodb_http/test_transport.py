"""The connections of the HTTP client, blocking and for asyncio: reuse, limits and timeouts."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from open_alchemy.package_database import TDatabase, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb.http import async_transport, idle_check, sync_transport
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.transport_errors import ExchangeError
from open_alchemy.package_database.engines.dynamodb.thread_executor import BlockingCalls
from open_alchemy.package_database.engines.dynamodb.timeouts import Timeouts
from tests.apis import config_of, connect_to, open_api
from tests.canned_server import Behaviour, Handler, reset, serve, stay_silent, succeed
from tests.faults.sockets import black_hole

ITEM = {"Item": {"version": {"S": "1.0"}}}
HANGS = 60.0
"""Seconds after which a test fails that would wait for ever."""
TIMEOUTS = Timeouts(connect=HANGS, handshake=HANGS, read=HANGS)
REQUEST = Secret(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")

Opener = Callable[..., TDatabase]


def open_transport(endpoint: Endpoint) -> async_transport.AsyncTransport:
    return async_transport.AsyncTransport(endpoint, None, TIMEOUTS, BlockingCalls(1))


def render() -> Secret:
    return REQUEST


@pytest.fixture(params=["lean", "lean, async"])
def database(request: pytest.FixtureRequest) -> Iterator[Opener]:
    with ExitStack() as stack:
        yield lambda url, *, deadline=5.0: stack.enter_context(
            open_api(request.param, config_of(url, deadline=deadline))
        )


def version(database: TDatabase) -> str:
    return database.get_latest_spec_version(sub="u1", name="a")


def then_close(handler: Handler) -> None:
    """Answers, and closes the connection without having said so."""
    succeed(ITEM)(handler)
    handler.close_connection = True


def close_when_asked_again(handler: Handler) -> None:
    """Answers, and closes the connection when the next request is on its way."""
    succeed(ITEM)(handler)
    handler.connection.recv(1)
    handler.close_connection = True


def talk_after(received: threading.Event, is_sent: threading.Event) -> Behaviour:
    """Answers, and sends another response without a request when the client has received the first."""

    def talk(handler: Handler) -> None:
        succeed(ITEM)(handler)
        received.wait(HANGS)
        succeed({"Item": {"version": {"S": "of somebody else"}}})(handler)
        is_sent.set()

    return talk


def test_a_connection_is_reused(database: Opener) -> None:
    with serve(succeed(ITEM)) as server:
        store = database(server.url)
        assert [version(store) for _ in range(5)] == ["1.0"] * 5

        assert server.connections == 1


@pytest.mark.parametrize("close", [then_close, close_when_asked_again])
def test_an_idle_connection_that_was_closed_causes_no_error(database: Opener, close: Behaviour) -> None:
    with serve(close) as server:
        store = database(server.url)
        assert [version(store) for _ in range(20)] == ["1.0"] * 20

        assert server.connections >= 20


def test_a_reset_of_an_idle_connection_is_no_failed_attempt(database: Opener) -> None:
    with serve(succeed(ITEM), reset) as server:
        store = database(server.url)
        assert version(store) == "1.0"
        with pytest.raises(UnavailableError, match="ConnectionClosedError"):
            version(store)

        assert len(server.requests) == 1 + 1 + 4


def test_a_connection_is_not_reused_after_the_idle_timeout(database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(succeed(ITEM)) as server:
        store = database(server.url)
        version(store)
        monkeypatch.setattr(idle_check, "IDLE_SECONDS", -1.0)
        version(store)

        assert server.connections == 2


def test_bytes_without_a_request_are_not_read_as_a_response(database: Opener, caplog: pytest.LogCaptureFixture) -> None:
    received, is_sent = threading.Event(), threading.Event()

    with serve(talk_after(received, is_sent), succeed(ITEM)) as server:
        store = database(server.url)
        assert version(store) == "1.0"
        received.set()
        assert is_sent.wait(HANGS)
        assert version(store) == "1.0"

        assert server.connections == 2
    assert caplog.records == []


def test_bytes_without_a_request_are_not_read_as_a_response_in_a_running_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    received, is_sent = threading.Event(), threading.Event()

    async def use(transport: async_transport.AsyncTransport) -> list[bytes]:
        first = await transport.exchange(render, Deadline(5.0))
        received.set()
        assert await asyncio.to_thread(is_sent.wait, HANGS)
        second = await transport.exchange(render, Deadline(5.0))
        return [first.body, second.body]

    with serve(talk_after(received, is_sent), succeed(ITEM)) as server:
        endpoint = Endpoint("127.0.0.1", server.server_port, "us-east-1", is_encrypted=False, authority="h")
        bodies = asyncio.run(use(open_transport(endpoint)))

    assert [json.loads(body) for body in bodies] == [ITEM, ITEM]
    assert caplog.records == []


def test_a_reused_connection_has_the_same_read_timeout(database: Opener) -> None:
    with serve(succeed(ITEM), stay_silent) as server:
        store = database(server.url, deadline=0.5)
        assert version(store) == "1.0"
        with pytest.raises(UnavailableError, match="ReadTimeoutError"):
            version(store)


def test_a_reused_connection_has_the_deadline_of_the_new_call() -> None:
    async def use(transport: async_transport.AsyncTransport) -> None:
        await transport.exchange(render, Deadline(HANGS))
        with pytest.raises(ExchangeError, match="no answer came in time"):
            await transport.exchange(render, Deadline(0.1))

    # The server closes the connection before the read timeout and the deadline of the first call are over.
    with serve(succeed(ITEM), stay_silent) as server:
        endpoint = Endpoint("127.0.0.1", server.server_port, "us-east-1", is_encrypted=False, authority="h")
        asyncio.run(use(open_transport(endpoint)))

        assert server.connections == 1


def test_a_slow_response_is_bounded_by_the_deadline(database: Opener) -> None:
    def trickle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not handler.server.is_over.wait(0.02):
            handler.wfile.write(b" ")

    with serve(trickle) as server:
        store = database(server.url, deadline=0.5)
        with pytest.raises(UnavailableError, match="ReadTimeoutError"):
            version(store)


def test_a_failed_name_lookup_raises_unavailable_error(database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown name")

    monkeypatch.setattr("socket.getaddrinfo", fail)
    with pytest.raises(UnavailableError, match="EndpointConnectionError"):
        version(database("http://db.invalid:8000", deadline=0.5))


def test_the_next_address_of_a_host_is_tried(database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(succeed(ITEM)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        first, second = closed.getsockname(), ("127.0.0.1", server.server_port)
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (first, second)]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: entries)

        assert version(database("http://two.example:8000")) == "1.0"


def test_the_next_address_is_tried_while_the_first_does_not_answer(
    database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(succeed(ITEM)) as server, black_hole() as hole:
        first, second = ("127.0.0.1", urlsplit(hole).port), ("127.0.0.1", server.server_port)
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (first, second)]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: entries)

        assert version(database("http://two.example:8000")) == "1.0"


def test_an_invalid_host_name_raises_unavailable_error(database: Opener) -> None:
    with pytest.raises(UnavailableError, match="EndpointConnectionError"):
        version(database(f"http://{'a' * 64}.example:8000", deadline=0.5))


def test_sending_has_a_timeout(database: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        store = database(f"http://127.0.0.1:{listener.getsockname()[1]}", deadline=0.5)
        with pytest.raises(UnavailableError, match="ReadTimeoutError"):
            store.create_update_spec(sub="u1", name="a", version="1", model_count=1, description="x" * 200_000)


def test_threads_share_a_limited_number_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_transport, "CONNECTIONS", 4)
    at_once: list[int] = []
    lock = threading.Lock()

    def count(handler: Handler) -> None:
        with lock:
            at_once.append(len(busy))
            busy.add(threading.get_ident())
        together.wait(HANGS)
        with lock:
            busy.discard(threading.get_ident())
        succeed(ITEM)(handler)

    busy: set[int] = set()
    together = threading.Barrier(4)
    with serve(count) as server, open_api("lean", config_of(server.url)) as store, ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda _: version(store), range(100))) == ["1.0"] * 100

        assert server.connections <= 4
        assert max(at_once) == 3


@pytest.mark.parametrize("api", ["lean", "lean, async"])
def test_a_call_without_a_free_connection_fails_at_the_deadline(monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    for module in (sync_transport, async_transport):
        monkeypatch.setattr(module, "CONNECTIONS", 0)
    with serve(succeed(ITEM)) as server, open_api(api, config_of(server.url, deadline=0.3)) as store:
        with pytest.raises(UnavailableError, match=r"queue for one of the \d+ connections until the deadline"):
            version(store)

        assert server.requests == []


def test_a_database_closes_its_connections_when_it_is_garbage_collected() -> None:
    with serve(succeed(ITEM)) as server:
        store = connect_to(config_of(server.url))
        version(store)
        transport = store.engine._client._transport  # type: ignore[attr-defined]
        connection = transport._idle[0]._socket
        del store, transport

        assert connection.fileno() == -1
