"""Each DynamoDB client, sync and async, with a server that fails."""

from __future__ import annotations

import base64
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from open_alchemy.package_database import ConfigurationError, RefusedError, TDatabase, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.runner import drive
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb.boto3_client import Boto3Client, find_region
from open_alchemy.package_database.engines.dynamodb.config import DynamoDBConfig
from open_alchemy.package_database.engines.dynamodb.engine import DynamoDBEngine
from open_alchemy.package_database.engines.dynamodb.http.client import HttpClient
from open_alchemy.package_database.engines.dynamodb.timeouts import Timeouts
from tests.apis import APIS, config_of, connect_to, open_api
from tests.canned_server import Behaviour, cut_short, fail, reset, serve, stay_silent, succeed
from tests.instant_delays import instant_delays

ITEM = {"Item": {"sub": {"S": "u1"}, "version": {"S": "1.0"}, "salt": {"B": base64.b64encode(b"canary").decode()}}}


Opener = Callable[..., TDatabase]


@pytest.fixture(params=APIS)
def database(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens databases over each client, which do not wait between attempts."""

    def opened(url: str, **timeouts: float) -> TDatabase:
        with instant_delays(**timeouts) as sources:
            return stack.enter_context(open_api(request.param, config_of(url), sources))

    with ExitStack() as stack:
        yield opened


@pytest.mark.parametrize(
    "fault",
    [
        reset,
        cut_short,
        succeed(ITEM, x_amz_crc32="1"),
        fail("InternalServerError", status=500),
        fail("Unknown", status=503),
        lambda handler: handler.answer(200, b"{not json"),
        lambda handler: handler.answer(200, b""),
    ],
    ids=["reset", "cut short", "wrong checksum", "500", "503", "not JSON", "empty"],
)
def test_one_failed_attempt_is_retried(database: Opener, fault: Behaviour) -> None:
    with serve(fault, succeed(ITEM)) as server:
        assert database(server.url).get_latest_spec_version(sub="u1", name="a") == "1.0"

        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (reset, "ConnectionClosedError"),
        (succeed(ITEM, x_amz_crc32="1"), "ChecksumError"),
        (fail("InternalServerError", status=500), "InternalServerError, request id REQUEST-ID"),
    ],
    ids=["reset", "wrong checksum", "500"],
)
def test_a_permanent_fault_raises_unavailable_error_after_four_attempts(
    database: Opener, fault: Behaviour, name: str
) -> None:
    with serve(fault) as server:
        with pytest.raises(UnavailableError, match=f"GetItem on package.specs .* in 4 attempts .*{name}") as caught:
            database(server.url).get_spec(sub="u1", name="a")

        assert len(server.requests) == 4
        # After a response of DynamoDB there may be no exception as the cause.
        assert (caught.value.__cause__ is not None) or "request id" in name


def test_a_server_that_never_responds_raises_unavailable_error(database: Opener) -> None:
    with serve(stay_silent) as server, pytest.raises(UnavailableError, match="ReadTimeoutError"):
        database(server.url, read=0.05).get_spec(sub="u1", name="a")


def test_a_closed_port_raises_unavailable_error(database: Opener) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnavailableError, match="EndpointConnectionError"):
            database(url).get_spec(sub="u1", name="a")


def test_a_refusal_is_not_retried(database: Opener) -> None:
    with serve(fail("AccessDeniedException")) as server:
        with pytest.raises(RefusedError, match="AccessDeniedException, request id REQUEST-ID") as caught:
            database(server.url).get_spec(sub="u1", name="a")

        assert caught.value.code == "AccessDeniedException"
        assert len(server.requests) == 1


def test_an_error_without_json_is_reported_by_its_status(database: Opener) -> None:
    with serve(lambda handler: handler.answer(403, b"<html>forbidden</html>")) as server:
        with pytest.raises(RefusedError, match="GetItem on package.specs was refused with 403, request id REQUEST-ID"):
            database(server.url).get_spec(sub="u1", name="a")

        assert len(server.requests) == 1


def attempt(client: HttpClient | Boto3Client, action: str, request: dict[str, Any]) -> Any:
    return drive(client.attempts(action, request, Deadline(1.0)), client.perform)


@pytest.fixture(params=["lean", "boto3"])
def make_client(request: pytest.FixtureRequest) -> Callable[[str], HttpClient | Boto3Client]:
    """Creates a client for a URL."""

    def make(url: str) -> HttpClient | Boto3Client:
        engine = DynamoDBEngine(config_of(url)._replace(wire=request.param))
        return engine._client

    return make


def test_the_retry_after_header_is_decoded(make_client: Callable[[str], HttpClient | Boto3Client]) -> None:
    with serve(fail("ThrottlingException", x_amz_retry_after="1500")) as server:
        failure = attempt(make_client(server.url), "GetItem", {"TableName": "t", "Key": {"id": {"S": "1"}}})

    assert failure.retry_after == 1.5
    assert failure.status == 400


def test_binary_values_are_secrets(make_client: Callable[[str], HttpClient | Boto3Client]) -> None:
    cancelled = {"CancellationReasons": [{"Code": "ConditionalCheckFailed", **ITEM}]}
    with serve(succeed(ITEM), fail("TransactionCanceledException", content=cancelled)) as server:
        client = make_client(server.url)
        found = attempt(client, "GetItem", {"TableName": "t", "Key": {"id": {"S": "1"}}})
        failure = attempt(client, "TransactWriteItems", {"TransactItems": []})

    assert found["Item"]["salt"]["B"] == b"canary"
    assert failure.reasons[0]["Item"]["salt"]["B"] == Secret(b"canary")
    assert "canary" not in repr((found, failure, failure.reasons))


@pytest.mark.parametrize("api", APIS)
def test_missing_credentials_raise_refused_error(no_credentials: None, api: str) -> None:
    with (
        serve(succeed()) as server,
        open_api(api, DynamoDBConfig("PROD", "eu-west-1", endpoint_url=server.url)) as database,
    ):
        with pytest.raises(RefusedError, match="the standard AWS chain found no credentials"):
            database.get_spec(sub="u1", name="a")

        assert server.requests == []


@pytest.mark.parametrize("wire", ["lean", "boto3"])
def test_a_missing_profile_raises_configuration_error(
    no_credentials: None, monkeypatch: pytest.MonkeyPatch, wire: Any
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")

    with pytest.raises(ConfigurationError, match="no-such-profile"):
        find_region()
    with pytest.raises(ConfigurationError, match="no-such-profile"):
        connect_to(DynamoDBConfig("PROD", "eu-west-1", wire=wire)).get_spec(sub="u1", name="a")


def test_an_unknown_error_of_botocore_raises_refused_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(succeed(ITEM)) as server:
        store = connect_to(config_of(server.url)._replace(wire="boto3"))

        def refuse(**_: object) -> None:
            raise RuntimeError("the refreshed credentials are still expired")

        monkeypatch.setattr(store.engine._client.client, "get_item", refuse)  # type: ignore[attr-defined]
        with pytest.raises(RefusedError, match="refused with RuntimeError") as caught:
            store.get_spec(sub="u1", name="a")

    assert "still expired" in str(caught.value.__cause__)


def test_concurrent_first_calls_create_one_client() -> None:
    engine = DynamoDBEngine(config_of("http://127.0.0.1:1"))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(engine._client)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 16
    assert len(set(map(id, found))) == 1


def test_the_timeouts_leave_time_for_a_second_attempt() -> None:
    assert Timeouts.of(5.0).attempt == 2.5
    assert Timeouts.of(60.0).attempt == 9.0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("wire", ["lean", "boto3"])
def test_a_forked_process_opens_its_own_connections(wire: Any) -> None:
    with serve(succeed(ITEM)) as server:
        database = connect_to(config_of(server.url)._replace(wire=wire))
        assert database.get_latest_spec_version(sub="u1", name="a") == "1.0"
        child = os.fork()
        if child == 0:
            os._exit(int(database.get_latest_spec_version(sub="u1", name="a") != "1.0"))
        _, status = os.waitpid(child, 0)
        assert database.get_latest_spec_version(sub="u1", name="a") == "1.0"

    assert os.waitstatus_to_exitcode(status) == 0
    assert server.connections == 2
