"""The lean wire's connections, blocking and awaiting: kept, bounded, given up, opened anew."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from open_alchemy.package_database import TDatabase, UnavailableError
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb.http import async_transport, idle_check, sync_transport
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.errors import ExchangeError
from tests.apis import config_of, connect_to, open_api
from tests.canned_server import Behaviour, Handler, reset, serve, stay_silent, succeed
from tests.faults.faults import black_hole

ITEM = {"Item": {"version": {"S": "1.0"}}}
REQUEST = Secret(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")

Opener = Callable[..., TDatabase]


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


def test_a_connection_is_kept(database: Opener) -> None:
    with serve(succeed(ITEM)) as server:
        store = database(server.url)
        assert [version(store) for _ in range(5)] == ["1.0"] * 5

        assert server.connections == 1


@pytest.mark.parametrize("close", [then_close, close_when_asked_again])
def test_a_connection_that_was_closed_while_idle_costs_no_error(database: Opener, close: Behaviour) -> None:
    with serve(close) as server:
        store = database(server.url)
        for number in range(4):
            time.sleep(0.02 * number)
            assert version(store) == "1.0"

        assert server.connections >= 4


def test_a_reset_of_a_connection_that_was_idle_is_made_up_for_once(database: Opener) -> None:
    with serve(succeed(ITEM), reset) as server:
        store = database(server.url)
        assert version(store) == "1.0"
        with pytest.raises(UnavailableError, match="ConnectionClosedError"):
            version(store)

        assert len(server.requests) == 1 + 1 + 4


def test_a_connection_that_was_idle_for_long_is_not_trusted(database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(succeed(ITEM)) as server:
        store = database(server.url)
        version(store)
        monkeypatch.setattr(idle_check, "IDLE_SECONDS", -1.0)
        version(store)

        assert server.connections == 2


def test_bytes_that_nobody_asked_for_are_not_taken_for_an_answer(
    database: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    def talk(handler: Handler) -> None:
        succeed(ITEM)(handler)
        time.sleep(0.05)
        succeed({"Item": {"version": {"S": "of somebody else"}}})(handler)

    with serve(talk, succeed(ITEM)) as server:
        store = database(server.url)
        assert version(store) == "1.0"
        time.sleep(0.1)
        assert version(store) == "1.0"

        assert server.connections == 2
    assert caplog.records == []


def test_bytes_that_come_while_the_loop_is_running_are_not_taken_for_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def talk(handler: Handler) -> None:
        succeed(ITEM)(handler)
        time.sleep(0.05)
        succeed({"Item": {"version": {"S": "of somebody else"}}})(handler)

    async def use(transport: async_transport.AsyncTransport) -> list[bytes]:
        bodies = []
        for _ in range(2):
            bodies.append((await transport.exchange(REQUEST, 5.0)).body)
            await asyncio.sleep(0.1)
        return bodies

    with serve(talk, succeed(ITEM)) as server:
        endpoint = Endpoint("127.0.0.1", server.server_port, "us-east-1", is_encrypted=False, authority="h")
        bodies = asyncio.run(use(async_transport.AsyncTransport(endpoint, None, 1.0)))

    assert [json.loads(body) for body in bodies] == [ITEM, ITEM]
    assert caplog.records == []


def test_a_connection_that_is_used_again_is_given_up_in_time_too(database: Opener) -> None:
    with serve(succeed(ITEM), stay_silent) as server:
        store = database(server.url, deadline=0.5)
        assert version(store) == "1.0"
        time.sleep(0.1)
        start = time.monotonic()
        with pytest.raises(UnavailableError, match="ReadTimeoutError"):
            version(store)

        assert time.monotonic() - start < 0.5 + 0.5 + 0.3


def test_a_connection_that_is_used_again_may_be_given_less_time() -> None:
    async def use(transport: async_transport.AsyncTransport) -> float:
        await transport.exchange(REQUEST, 30.0)
        start = time.monotonic()
        with pytest.raises(ExchangeError, match="no answer came in time"):
            await transport.exchange(REQUEST, 0.1)
        return time.monotonic() - start

    with serve(succeed(ITEM), stay_silent) as server:
        endpoint = Endpoint("127.0.0.1", server.server_port, "us-east-1", is_encrypted=False, authority="h")
        seconds = asyncio.run(use(async_transport.AsyncTransport(endpoint, None, 1.0)))

        assert seconds < 5
        assert server.connections == 1


def test_an_answer_that_trickles_in_is_given_up_in_time(database: Opener) -> None:
    def trickle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not handler.server.is_over.wait(0.02):
            handler.wfile.write(b" ")

    with serve(trickle) as server:
        store = database(server.url, deadline=0.5)
        start = time.monotonic()
        with pytest.raises(UnavailableError, match="ReadTimeoutError"):
            version(store)

        assert time.monotonic() - start < 0.5 + 0.5 + 0.3


def test_a_retry_is_begun_also_shortly_before_the_deadline(database: Opener) -> None:
    """An attempt gets the time that is left, where an attempt of boto3's would have to be sure of 0.4 s."""

    def reset_late(handler: Handler) -> None:
        time.sleep(0.25)
        reset(handler)

    with serve(reset_late) as server:
        with pytest.raises(UnavailableError):
            version(database(server.url, deadline=0.6))

        assert len(server.requests) >= 3


def test_a_name_that_does_not_resolve_is_unavailable(database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(succeed(ITEM)) as server, black_hole() as hole:
        first, second = ("127.0.0.1", urlsplit(hole).port), ("127.0.0.1", server.server_port)
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (first, second)]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: entries)

        assert version(database("http://two.example:8000")) == "1.0"


def test_a_host_that_is_no_name_is_unavailable(database: Opener) -> None:
    with pytest.raises(UnavailableError, match="EndpointConnectionError"):
        version(database(f"http://{'a' * 64}.example:8000", deadline=0.5))


def test_a_request_that_is_not_taken_is_given_up_in_time(database: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        store = database(f"http://127.0.0.1:{listener.getsockname()[1]}", deadline=0.5)
        start = time.monotonic()
        with pytest.raises(UnavailableError, match="ReadTimeoutError"):
            store.create_update_spec(sub="u1", name="a", version="1", model_count=1, description="x" * 200_000)

    assert time.monotonic() - start < 0.5 + 0.5 + 0.3


def test_threads_share_a_bounded_number_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_transport, "CONNECTIONS", 4)
    at_once: list[int] = []
    lock = threading.Lock()

    def count(handler: Handler) -> None:
        with lock:
            at_once.append(len(busy))
            busy.add(threading.get_ident())
        time.sleep(0.01)
        with lock:
            busy.discard(threading.get_ident())
        succeed(ITEM)(handler)

    busy: set[int] = set()
    with serve(count) as server, open_api("lean", config_of(server.url)) as store, ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda _: version(store), range(100))) == ["1.0"] * 100

        assert server.connections <= 4
        assert max(at_once) <= 4


@pytest.mark.parametrize("face", ["lean", "lean, async"])
def test_who_waits_too_long_for_a_connection_is_told(monkeypatch: pytest.MonkeyPatch, face: str) -> None:
    for module in (sync_transport, async_transport):
        monkeypatch.setattr(module, "CONNECTIONS", 0)
    with serve(succeed(ITEM)) as server, open_api(face, config_of(server.url, deadline=0.3)) as store:
        with pytest.raises(UnavailableError, match="PoolTimeoutError"):
            version(store)

        assert server.requests == []


def test_a_database_that_is_forgotten_closes_its_connections() -> None:
    with serve(succeed(ITEM)) as server:
        store = connect_to(config_of(server.url))
        version(store)
        transport = store.engine._wire._transport  # type: ignore[attr-defined]
        connection = transport._idle[0]._socket
        del store, transport

        assert connection.fileno() == -1
