"""The middlewares, without a server: which requests they refuse, and what an application sees, in WSGI and ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database.instances import AsyncInstanceMiddleware, InstanceMiddleware
from open_alchemy.package_database.testing.local_instances import LocalInstances

current = package_database.instance_id

WRONG = [
    ("", "the header InstanceId must be 1 to 64 letters"),
    ("three", "names no instance"),
    ("one,one", "is repeated"),
    ("one, two", "is repeated"),
    ("one\n", "must be 1 to 64 letters"),
    ("ONE", "names no instance"),
    ("öne", "must be 1 to 64 letters"),
    ("a" * 10_000_000, "must be 1 to 64 letters"),
]


@pytest.fixture(autouse=True)
def _with_default(_instances: LocalInstances) -> None:
    """Every test has the instances "one" and "two", and the default "two"."""
    _instances.write("one", "two", default="two")


def call(app: Any, header: str | None = None) -> tuple[str, list[bytes]]:
    """Returns the status and the body of a WSGI request."""
    statuses: list[str] = []
    environ = {} if header is None else {"HTTP_INSTANCEID": header}
    body = InstanceMiddleware(app)(environ, lambda status, headers: statuses.append(status))
    try:
        return statuses[0] if statuses else "", list(body)
    finally:
        getattr(body, "close", _nothing)()


def _nothing() -> None:
    """Closes nothing."""


def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [str(current()).encode()]


class Client:
    """An ASGI server for one request."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.sent: list[dict[str, Any]] = []
        self.received = 0

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        return {"type": f"{self.scope['type']}.connect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def call(self, app: Any) -> list[dict[str, Any]]:
        await AsyncInstanceMiddleware(app)(self.scope, self.receive, self.send)  # type: ignore[arg-type]
        return self.sent


def acall(app: Any, *headers: tuple[bytes, bytes], type: str = "http", **scope: Any) -> list[dict[str, Any]]:  # noqa: A002
    """Returns what the middleware and the application send."""
    return asyncio.run(Client({"type": type, "headers": headers, **scope}).call(app))


async def aanswer(scope: Any, receive: Any, send: Any) -> None:
    await send({"body": str(current()).encode()})


def named(value: str, name: bytes = b"instanceid") -> tuple[bytes, bytes]:
    return name, value.encode("utf-8")


def test_the_header_selects_the_instance_of_a_request() -> None:
    assert call(answer, "one") == ("200 OK", [b"one"])
    assert acall(aanswer, (b"host", b"a"), named("one")) == [{"body": b"one"}]
    assert acall(aanswer, named("one", b"InstanceId")) == [{"body": b"one"}]
    assert acall(aanswer, named("one"), type="websocket") == [{"body": b"one"}]
    assert current() == "two"


def test_without_the_header_a_request_has_the_default() -> None:
    assert call(answer) == ("200 OK", [b"two"])
    with package_database.instance("one"):
        assert call(answer) == ("200 OK", [b"two"])
        assert acall(aanswer) == [{"body": b"two"}]
        assert current() == "one"


def test_without_the_header_and_a_default_a_request_is_refused(_instances: LocalInstances) -> None:
    _instances.write("one", "two")

    assert call(answer) == ("400 Bad Request", [b"the header InstanceId is missing\n"])
    assert acall(aanswer)[0]["status"] == 400
    assert acall(aanswer, type="websocket")[0] == {"type": "websocket.close", "code": 1008}


@pytest.mark.parametrize(("header", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_header_is_refused_and_not_repeated_in_the_answer(header: str, message: str) -> None:
    status, (body,) = call(answer, header)
    start, end = acall(aanswer, named(header))

    assert status == "400 Bad Request"
    assert start == {
        "type": "http.response.start",
        "status": 400,
        "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())],
    }
    assert end == {"type": "http.response.body", "body": body}
    assert message in body.decode()
    assert body.count(b"\n") == 1
    assert len(body) < 100


def test_a_repeated_header_is_refused_even_with_equal_values() -> None:
    assert acall(aanswer, named("one"), named("one"))[1]["body"] == b"the header InstanceId is repeated\n"
    assert acall(aanswer, named("one"), named("two", b"InstanceID"))[0]["status"] == 400


def test_a_wrong_header_closes_a_websocket_before_it_is_accepted() -> None:
    client = Client({"type": "websocket", "headers": [named("three")]})

    closed = asyncio.run(client.call(aanswer))
    denied = acall(aanswer, named("three"), type="websocket", extensions={"websocket.http.response": {}})

    assert closed == [{"type": "websocket.close", "code": 1008}]
    assert client.received == 1
    assert [message["type"] for message in denied] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert denied[0]["status"] == 400


def test_the_lifespan_of_an_application_has_no_request() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append((scope["type"], current()))

    acall(app, type="lifespan")

    assert scopes == [("lifespan", "two")]


def test_a_body_has_the_instance_while_it_is_iterated_and_closed() -> None:
    seen: list[str | None] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen.append(current())
            for _ in range(2):
                seen.append(current())
                yield b""

        def close(self) -> None:
            seen.append(current())

    body: Any = InstanceMiddleware(lambda environ, start: Body())({"HTTP_INSTANCEID": "one"}, None)  # type: ignore[arg-type]
    between = [current() for _ in body]
    body.close()

    assert seen == ["one"] * 4
    assert between == ["two", "two"]


def test_an_application_that_is_a_generator_has_the_instance() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield str(current()).encode()

    assert call(app, "one")[1] == [b"one"]


def test_an_error_of_an_application_ends_the_selection() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise ZeroDivisionError

    async def aapp(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(app, "one")
    with pytest.raises(ZeroDivisionError):
        acall(aapp, named("one"))

    assert current() == "two"


def test_a_generator_that_a_request_leaves_suspended_does_not_select_for_the_next_one() -> None:
    left: list[Iterator[None]] = []

    def select() -> Iterator[None]:
        with package_database.instance("one"):
            yield

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        left.append(select())
        next(left[0])
        return []

    call(app, "two")
    between = current()

    assert between == "two"
    assert call(answer, "two")[1] == [b"two"]


def test_work_after_the_answer_has_the_instance() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body"})
        await asyncio.sleep(0)
        await asyncio.create_task(aanswer(scope, receive, send))

    assert acall(app, named("one"))[-1] == {"body": b"one"}


def test_without_a_file_of_instances_requests_work_as_without_the_middleware(
    fresh_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PACKAGE_DATABASE_INSTANCES")

    assert call(answer) == ("200 OK", [b"None"])
    assert acall(aanswer) == [{"body": b"None"}]
    assert call(answer, "one")[0] == "400 Bad Request"
