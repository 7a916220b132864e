"""The requests and responses of the package's HTTP client, without I/O."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator
from typing import Any
from zlib import crc32

import pytest

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb.attribute_codec import decode_items
from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS, Credentials
from open_alchemy.package_database.engines.dynamodb.http.attempt import Exchange, FetchCredentials, HttpAttempts, Parse
from open_alchemy.package_database.engines.dynamodb.http.credentials import StaticCredentials
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.response import HttpResponse
from open_alchemy.package_database.engines.dynamodb.http.transport_errors import ExchangeError
from open_alchemy.package_database.engines.dynamodb.retry import Failure, Kind

ENDPOINT = Endpoint("h", 8000, "eu-west-1", is_encrypted=False, authority="h:8000")
NOON = 1_790_000_000


def core_at(now: float) -> HttpAttempts:
    return HttpAttempts(ENDPOINT, StaticCredentials(DUMMY_CREDENTIALS), agent="agent", clock=lambda: now)


def raw(content: object, *, status: int = 200, checksum: int | None = None, **headers: str) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {
        "Content-Length": str(len(body)),
        "X-Amz-Crc32": str(crc32(body) if checksum is None else checksum),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"HTTP/1.1 {status} Reason\r\n{lines}\r\n".encode() + body


def answer(content: object, **details: Any) -> HttpResponse:
    received = HttpResponse()
    assert received.feed(raw(content, **details))
    return received


def test_an_attempt_is_one_exchange() -> None:
    deadline = Deadline(9.0)
    steps = core_at(NOON).attempt("GetItem", {"TableName": "t"}, deadline)

    exchange = next(steps)
    assert isinstance(exchange, Exchange)
    assert exchange.deadline is deadline
    assert exchange.render().endswith(b'\r\n\r\n{"TableName":"t"}')
    with pytest.raises(StopIteration) as stop:
        steps.send(answer({"Item": {}}))
    assert stop.value.value == {"Item": {}}


def test_a_request_is_signed_when_it_is_sent() -> None:
    now = [NOON]
    core = HttpAttempts(ENDPOINT, StaticCredentials(DUMMY_CREDENTIALS), agent="agent", clock=lambda: now[0])
    exchange = next(core.attempt("GetItem", {}, Deadline(9.0)))
    now[0] += 4

    assert isinstance(exchange, Exchange)
    assert b"X-Amz-Date: 20260921T141324Z" in bytes(exchange.render())


def test_a_failure_of_the_transport_is_the_answer() -> None:
    steps = core_at(NOON).attempt("GetItem", {}, Deadline(1.0))
    next(steps)
    failure = Failure("ReadTimeoutError", answered=False)

    with pytest.raises(StopIteration) as stop:
        steps.send(failure)

    assert stop.value.value is failure


class Empty:
    """A source that has nothing at hand."""

    def cached(self) -> None:
        return None

    def fetch(self) -> None:
        return None


def test_credentials_that_are_not_cached_are_fetched_first() -> None:
    steps = HttpAttempts(ENDPOINT, Empty(), agent="agent").attempt("GetItem", {}, Deadline(1.0))

    assert isinstance(next(steps), FetchCredentials)
    exchange = steps.send(Credentials("FETCHED", "secret"))

    assert isinstance(exchange, Exchange)
    assert bytes(exchange.render()).count(b"Credential=FETCHED/") == 1


def test_credentials_that_cannot_be_fetched_are_the_failure() -> None:
    steps = HttpAttempts(ENDPOINT, Empty(), agent="agent").attempt("GetItem", {}, Deadline(1.0))
    next(steps)
    failure = Failure("NoCredentialsError")

    with pytest.raises(StopIteration) as stop:
        steps.send(failure)

    assert stop.value.value is failure


def test_binary_values_are_sent_in_base64_and_do_not_show() -> None:
    request = core_at(NOON).render("PutItem", {"Item": {"salt": {"B": Secret(b"canary")}}}, DUMMY_CREDENTIALS)

    assert request.endswith(b'{"Item":{"salt":{"B":"Y2FuYXJ5"}}}')
    assert "Y2FuYXJ5" not in repr(request)


def test_a_request_holds_nothing_else() -> None:
    with pytest.raises(TypeError, match="a request cannot contain object"):
        core_at(NOON).render("PutItem", {"Item": object()}, DUMMY_CREDENTIALS)


def test_the_key_changes_with_the_day_and_with_the_credentials() -> None:
    times = iter([NOON, NOON, NOON + 86_400, NOON + 86_400])
    core = HttpAttempts(ENDPOINT, StaticCredentials(DUMMY_CREDENTIALS), agent="agent", clock=lambda: next(times))
    other = Credentials("OTHER", "other")

    dates = [
        bytes(core.render("GetItem", {}, credentials)).partition(b"Credential=")[2].partition(b"/eu-west-1")[0].decode()
        for credentials in (DUMMY_CREDENTIALS, other, other, DUMMY_CREDENTIALS)
    ]

    assert dates == [
        "package-database-test/20260921",
        "OTHER/20260921",
        "OTHER/20260922",
        "package-database-test/20260922",
    ]


def test_an_answer_is_read() -> None:
    binary = base64.b64encode(b"canary").decode()
    found: Any = core_at(NOON).read(
        answer({"Items": [{"salt": {"B": binary}, "B": {"S": "B"}, "list": {"L": [{"B": binary}]}}], "Count": 1})
    )

    assert found == {
        "Items": [{"salt": {"B": b"canary"}, "B": {"S": "B"}, "list": {"L": [{"B": b"canary"}]}}],
        "Count": 1,
    }
    assert isinstance(found["Items"][0]["salt"]["B"], Secret)


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (answer({"Item": {}}, checksum=1), "ChecksumError"),
        (answer({"__type": "x#AccessDeniedException"}, status=400, checksum=1), "ChecksumError"),
        (answer(b"{not json"), "ResponseParserError"),
        (answer(b""), "ResponseParserError"),
        (answer(b"[]"), "ResponseParserError"),
        (answer(b"\xff{}"), "ResponseParserError"),
        (answer({"Item": {"salt": {"B": "a"}}}), "ResponseParserError"),
    ],
)
def test_an_answer_that_did_not_arrive_as_it_was_sent_is_transient(broken: HttpResponse, code: str) -> None:
    failure: Any = core_at(NOON).read(broken)

    assert failure.code == code
    assert failure.kind is Kind.TRANSIENT


def test_an_answer_without_a_checksum_is_read() -> None:
    received = HttpResponse()
    received.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    assert core_at(NOON).read(received) == {}


def test_a_refusal_is_read() -> None:
    content = {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "CancellationReasons": [{"Code": "ConditionalCheckFailed"}, {"Code": "None"}],
    }
    failure: Any = core_at(NOON).read(answer(content, status=400, x_amzn_RequestId="REQUEST", x_amz_retry_after="1500"))

    assert failure == Failure(
        "TransactionCanceledException",
        status=400,
        request_id="REQUEST",
        reasons=({"Code": "ConditionalCheckFailed"}, {"Code": "None"}),
        retry_after=1.5,
    )


def test_a_refusal_without_json_is_told_by_its_status() -> None:
    failure: Any = core_at(NOON).read(answer(b"<html>", status=503, x_amz_retry_after="soon"))

    assert (failure.code, failure.status, failure.retry_after) == ("503", 503, None)
    assert failure.kind is Kind.TRANSIENT


def date_of(core: HttpAttempts) -> str:
    """Returns the date of a request."""
    exchange = next(core.attempt("GetItem", {}, Deadline(1.0)))
    assert isinstance(exchange, Exchange)
    return exchange.render().partition(b"X-Amz-Date: ")[2].partition(b"\r")[0].decode()


SKEWED = {"__type": "com.amazon.coral.service#InvalidSignatureException"}


def end(steps: Generator[Any, Any, Any], result: object) -> Any:
    """Sends the last result, and returns what the steps return."""
    with pytest.raises(StopIteration) as stop:
        steps.send(result)
    return stop.value.value


def test_a_clock_that_is_off_is_corrected_by_the_date_of_the_answer() -> None:
    core = core_at(NOON)
    refusal = answer(SKEWED, status=400, Date="Mon, 21 Sep 2026 16:13:20 GMT")
    at_once = [core.attempt("GetItem", {}, Deadline(1.0)) for _ in range(3)]
    for steps in at_once:
        next(steps)

    assert [end(steps, refusal).kind for steps in at_once] == [Kind.TRANSIENT] * 3
    assert date_of(core) == "20260921T161320Z"
    again = core.attempt("GetItem", {}, Deadline(1.0))
    next(again)
    assert end(again, refusal).kind is Kind.REFUSED


@pytest.mark.parametrize(
    "date", ["Mon, 21 Sep 2026 14:10:20 GMT", "no date", ""], ids=["a little off", "no date", "nothing"]
)
def test_a_clock_that_is_right_is_not_to_blame(date: str) -> None:
    core = core_at(NOON)
    failure: Any = core.read(answer(SKEWED, status=400, Date=date))

    assert failure.kind is Kind.REFUSED
    assert date_of(core) == "20260921T141320Z"


def test_a_date_alone_corrects_nothing() -> None:
    core = core_at(NOON)
    core.read(answer({"__type": "x#AccessDeniedException"}, status=400, Date="Mon, 21 Sep 2020 16:13:20 GMT"))

    assert date_of(core) == "20260921T141320Z"


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


def halves(data: bytes) -> list[bytes]:
    return [data[: len(data) // 2], data[len(data) // 2 :]]


@pytest.mark.parametrize("split", [byte_by_byte, halves])
def test_an_answer_may_come_in_pieces(split: Callable[[bytes], list[bytes]]) -> None:
    received = HttpResponse()
    *pieces, last = split(raw({"Item": {}}))

    assert not any(received.feed(piece) for piece in pieces)
    assert received.feed(last)
    assert (received.body, received.keeps_connection) == (b'{"Item": {}}', True)


def test_an_answer_in_chunks_is_joined() -> None:
    received = HttpResponse()
    received.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")

    assert (received.body, received.is_complete) == (b"{}", True)


def test_what_only_says_that_the_answer_is_still_to_come_is_passed_over() -> None:
    received = HttpResponse()

    assert not received.feed(b"HTTP/1.1 100 Continue\r\nX-Amz-Crc32: 1\r\n\r\n")
    assert received.feed(raw({"Item": {}}))
    assert core_at(NOON).read(received) == {"Item": {}}
    assert received.keeps_connection


def test_a_large_answer_is_read_in_a_step_of_its_own() -> None:
    core = core_at(NOON)
    steps = core.attempt("Query", {}, Deadline(1.0))
    next(steps)

    read = steps.send(answer({"Items": [{"title": {"S": "x" * 200_000}}]}))

    assert isinstance(read, Parse)
    (item,) = decode_items(end(steps, core.read(read.response, read.skew))["Items"])
    assert str(item["title"]).startswith("x")


def test_reasons_that_are_none_are_left_out() -> None:
    failure: Any = core_at(NOON).read(answer({"__type": "x#Y", "CancellationReasons": 5}, status=400))

    assert failure.reasons == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "ConnectionClosedError"),
        (raw({})[:-1], "IncompleteReadError"),
        (b"SSH-2.0-x\r\n", "ResponseParserError"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "ResponseParserError"),
    ],
)
def test_an_answer_that_is_not_whole(data: bytes, code: str) -> None:
    received = HttpResponse()

    def receive() -> None:
        received.feed(data)
        received.feed(b"")

    with pytest.raises(ExchangeError) as caught:
        receive()
    assert caught.value.code == code


@pytest.mark.parametrize(
    "data",
    [
        raw({}, Connection="close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        raw({}) + raw({"Item": "of somebody else"}),
    ],
    ids=["close", "HTTP/1.0", "more than was asked for"],
)
def test_a_connection_is_not_used_again(data: bytes) -> None:
    received = HttpResponse()
    received.feed(data)

    assert received.is_complete
    assert not received.keeps_connection
