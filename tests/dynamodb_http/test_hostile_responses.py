"""A caller gets a result or a typed error for every response: both HTTP clients, all functions."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_alchemy.package_database import BaseError, ConflictError, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Backoff, Scan, Stamp, Stamped
from open_alchemy.package_database.core.runner import Sleep
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb.boto3_client import Boto3Client
from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS
from open_alchemy.package_database.engines.dynamodb.execution import Executor
from open_alchemy.package_database.engines.dynamodb.http.attempt import Exchange, HttpAttempts, Parse
from open_alchemy.package_database.engines.dynamodb.http.credentials import StaticCredentials
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.response import (
    MAX_HEAD_BYTES,
    MAX_RESPONSE_BYTES,
    HttpResponse,
)
from open_alchemy.package_database.engines.dynamodb.http.transport_errors import ExchangeError
from open_alchemy.package_database.engines.dynamodb.retry import Quota
from open_alchemy.package_database.model import ACCESS_PATTERNS
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS
from tests.apis import config_of

ENDPOINT = Endpoint("h", 8000, "eu-west-1", is_encrypted=False, authority="h:8000")
ARGUMENTS: dict[str, Any] = {
    "sub": "u1",
    "name": "a",
    "version": "1.0",
    "model_count": 1,
    "id_": "1",
    "public_key": "pk",
    "secret_key_hash": Secret(b"hash"),
    "salt": Secret(b"salt"),
}
CALLS = [*(pattern.name for pattern in ACCESS_PATTERNS), "scan specs", "scan credentials"]

Raw = tuple[int, Mapping[str, str], bytes]


class _Raw(io.BytesIO):
    """What botocore reads a response from."""

    def stream(self, *_: object, **__: object) -> Any:
        yield self.read()


class HttpHarness:
    """The package's own client."""

    def __init__(self, respond: Callable[[], Raw]) -> None:
        self._respond = respond
        self._http = HttpAttempts(ENDPOINT, StaticCredentials(DUMMY_CREDENTIALS), agent="a")
        self.attempts = self._http.attempt

    def perform(self, step: Any) -> Any:
        if isinstance(step, Parse):
            return self._http.read(step.response, step.skew)
        assert isinstance(step, Exchange)
        status, headers, body = self._respond()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode("latin-1")
        response = HttpResponse()
        try:
            response.feed(head + body)
        except ExchangeError as error:
            return error.failure()
        return response if response.is_complete else response.cut_off().failure()


@cache
def boto3_client() -> Boto3Client:
    return Boto3Client(config_of("http://127.0.0.1:1"))


class Boto3Harness:
    """boto3, without a socket."""

    attempts = staticmethod(Boto3Client.attempts)

    def __init__(self, respond: Callable[[], Raw]) -> None:
        self._respond = respond

    def perform(self, step: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        def send(request: Any, **_: object) -> AWSResponse:
            status, headers, body = self._respond()
            received: Any = headers
            return AWSResponse(request.url, status, received, _Raw(body))

        client = boto3_client()
        events: Any = client.client.meta.events
        events.register("before-send.dynamodb", send)
        try:
            return client.perform(step)
        finally:
            events.unregister("before-send.dynamodb", send)


HARNESSES: dict[str, Callable[[Callable[[], Raw]], HttpHarness | Boto3Harness]] = {
    "lean": HttpHarness,
    "boto3": Boto3Harness,
}


def call(name: str, harness: HttpHarness | Boto3Harness) -> Any:
    """Runs a function of the database, or a page of an operator's scan, without waiting."""
    executor = Executor(harness.attempts, Quota(), lambda: 0.0)

    def execute(operation: Any) -> Any:
        result: Any = None
        steps = executor.execute(operation, Deadline(5.0))
        while True:
            try:
                step = steps.send(result)
            except StopIteration as stop:
                return stop.value
            result = None if isinstance(step, Sleep) else harness.perform(step)

    if name.startswith("scan"):
        return execute(Scan(SPECS if "specs" in name else CREDENTIALS, 10, after={"sub": "u1", "id": "1"}))
    pattern = next(pattern for pattern in ACCESS_PATTERNS if pattern.name == name)
    names = pattern.steps.__code__.co_varnames[: pattern.steps.__code__.co_kwonlyargcount]
    steps = pattern.steps(**{name: ARGUMENTS[name] for name in names if name in ARGUMENTS})
    result: Any = None
    backoffs = 0
    for _ in range(50):
        try:
            operation = steps.send(result)
        except StopIteration as stop:
            return stop.value
        result = None
        if isinstance(operation, Stamp):
            result = Stamped(1_700_000_000, "revision")
        elif isinstance(operation, Backoff):
            backoffs += 1
            if backoffs > 3:
                raise ConflictError("lost")
        else:
            result = execute(operation)
    return None


NAMES = [
    *("sub", "id", "name", "version", "updated_at", "model_count", "title", "revision", "updated_at_id"),
    *("id_updated_at", "public_key", "secret_key_hash", "salt"),
]
TYPED = st.one_of(
    st.fixed_dictionaries({"S": st.sampled_from(["u1", "a", "1", "1.0", "5", "5.0", "latest#a", "pk", "\ud800", "²"])}),
    st.fixed_dictionaries({"N": st.sampled_from(["1", "1.5", "-1", "NaN", "1e3", "9" * 5_000, "", "\u0661"])}),
    st.fixed_dictionaries({"B": st.sampled_from(["aGFzaA==", "a", "é", ""])}),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(),
    st.sampled_from(["", "u1", "x", "ConditionalCheckFailed", "None", "TransactionConflict", "\x1b[31m"]),
)
JSON = st.recursive(
    SCALARS | TYPED,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*NAMES, "S", "N", "B", "BS", "L", "M", "Code", "Item", "Items"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
ITEM = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, TYPED | JSON))
ITEMS = st.lists(ITEM | JSON, max_size=3)
REASON = st.fixed_dictionaries({}, optional={"Code": SCALARS, "Item": ITEM | JSON})
CONTENT = st.fixed_dictionaries(
    {},
    optional={
        "Item": ITEM | JSON,
        "Items": ITEMS | JSON,
        "LastEvaluatedKey": ITEM | JSON,
        "UnprocessedItems": JSON,
        "CancellationReasons": st.lists(REASON | JSON, max_size=3) | JSON,
        "ResponseMetadata": JSON,
        "__type": JSON
        | st.sampled_from(["x#TransactionCanceledException", "x#ThrottlingException", "InvalidSignatureException"]),
    },
)
BODY = st.one_of(
    CONTENT.map(lambda content: json.dumps(content).encode()),
    JSON.map(lambda content: json.dumps(content).encode()),
    st.binary(max_size=40),
    st.sampled_from(
        [b"[" * 100_000, b'{"Item":' * 100_000, b'{"Item":' + b'{"M":' * 900 + b"1" + b"}" * 901, b"9" * 5_000]
    ),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-amz-retry-after": st.sampled_from(["1", "-1", "9" * 5_000, "²", "x"]),
        "x-amzn-RequestId": st.sampled_from(["R1", "", "\x1b", "é"]),
        "Date": st.sampled_from(["Mon, 21 Sep 0001 14:10:20 -0000", "Mon, 21 Sep 9999 14:10:20 GMT", "x", ", , ,"]),
    },
)
RESPONSES = st.tuples(st.sampled_from([200, 200, 200, 400, 400, 500, 204, 302]), HEADERS, BODY)


def check(client: str, name: str, response: Raw) -> None:
    status, headers, body = response
    if client == "lean" and len(body) % 2:
        headers = {**headers, "x-amz-crc32": str(crc32(body))}
    try:
        call(name, HARNESSES[client](lambda: (status, headers, body)))
    except BaseError as error:
        message = str(error)
    else:
        message = ""
    assert "\x1b" not in message


@pytest.mark.parametrize("client", HARNESSES)
@given(name=st.sampled_from(CALLS), response=RESPONSES)
def test_a_response_of_any_shape_is_a_result_or_a_typed_error(client: str, name: str, response: Raw) -> None:
    check(client, name, response)


@pytest.mark.long
@pytest.mark.parametrize("client", HARNESSES)
@settings(max_examples=10_000)
@given(name=st.sampled_from(CALLS), response=RESPONSES)
def test_ten_thousand_shapes_are_results_or_typed_errors(client: str, name: str, response: Raw) -> None:
    check(client, name, response)


@pytest.mark.parametrize(
    "item",
    [None, [], "x", 1, {"id": None}, {"id": "x"}, {"id": []}, {"id": {"N": 1}}, {"id": {"N": []}}],
)
def test_an_item_of_another_structure_is_unavailable_and_names_action_and_table(item: object) -> None:
    body = json.dumps({"Item": item}).encode()

    with pytest.raises(UnavailableError, match=r"GetItem on package\.credentials is malformed") as caught:
        call("get_credentials", HttpHarness(lambda: (200, {}, body)))

    assert caught.value.code == "MalformedResponse"


def feed_for_ever(start: bytes, part: bytes) -> int:
    """Returns how many bytes a response takes before it is refused."""
    response = HttpResponse()
    response.feed(start)
    for fed in range(0, 2 * MAX_RESPONSE_BYTES, len(part)):
        try:
            response.feed(part)
        except ExchangeError as error:
            return fed if error.code == "ResponseTooLarge" else -1
    raise AssertionError("without bound")


OK = b"HTTP/1.1 200 OK\r\n"
LARGE = 1 << 16


@pytest.mark.parametrize(
    ("start", "part", "limit"),
    [
        (OK, b"X-Header: value\r\n" * 100, MAX_HEAD_BYTES),
        (OK + b"X: ", b"x" * 1_000, MAX_HEAD_BYTES),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 40, MAX_HEAD_BYTES),
        (OK + b"Content-Length: 999999999999\r\n\r\n", b"x" * LARGE, MAX_RESPONSE_BYTES),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 0x8000 + b"\r\n", MAX_RESPONSE_BYTES),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * LARGE, MAX_RESPONSE_BYTES),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: %b\r\n" % (b"y" * 1_000) * 60, MAX_RESPONSE_BYTES),
    ],
    ids=["headers", "one header", "interim responses", "body", "chunks", "chunk extension", "trailers"],
)
def test_a_response_is_bounded(start: bytes, part: bytes, limit: int) -> None:
    assert 0 <= feed_for_ever(start, part) <= limit
