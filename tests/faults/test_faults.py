"""Every fault: the result is right exactly once, or a typed error comes in time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import TDatabase, UnavailableError
from open_alchemy.package_database.engines.dynamodb.config import DynamoDBConfig
from tests.apis import APIS, config_of, open_api
from tests.canned_server import serve, succeed
from tests.faults.faults import (
    CALLS,
    EFFECTS,
    LASTING,
    PASSING,
    UNTOUCHED,
    Backend,
    black_hole,
    faulty,
    fill,
    meets,
    stored,
)

# boto3 in a thread meets a fault as boto3 does.
MEETING = [face for face in APIS if face != "boto3, async"]
DEADLINE = 1.0
LATE = 0.5
SLACK = 0.3
"""What a machine under load may add."""


@pytest.fixture
def direct(_clean_specs_table: None, _clean_credentials_table: None) -> TDatabase:
    """The database without faults, filled."""
    database = package_database.get()
    fill(database)
    return database


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("face", MEETING)
def test_a_fault_that_passes_leaves_the_result_right_exactly_once(
    _database: str, direct: TDatabase, face: str, fault: str, call: str
) -> None:
    perform, expected = CALLS[call]
    with (
        faulty(Backend(_database), PASSING[fault]) as server,
        open_api(face, config_of(server.url, deadline=5)) as database,
    ):
        result = perform(database)

    assert result == expected
    assert stored(direct) == EFFECTS.get(call, UNTOUCHED)


@pytest.mark.parametrize(
    ("fault", "call"), [(fault, call) for fault in LASTING for call in CALLS if meets(fault, call)]
)
@pytest.mark.parametrize("face", MEETING)
def test_a_fault_that_lasts_is_a_typed_error_in_time_with_all_or_nothing_done(
    _database: str, direct: TDatabase, face: str, fault: str, call: str
) -> None:
    perform, _ = CALLS[call]
    behaviour, error = LASTING[fault]
    with (
        faulty(Backend(_database), behaviour, times=None) as server,
        open_api(face, config_of(server.url, deadline=DEADLINE)) as database,
    ):
        start = time.monotonic()
        with pytest.raises(getattr(package_database, error)):
            perform(database)
        seconds = time.monotonic() - start

    assert seconds < DEADLINE + LATE + SLACK
    assert stored(direct) in (EFFECTS.get(call, UNTOUCHED), UNTOUCHED)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("face", APIS)
def test_a_black_hole_is_given_up_in_time(face: str, call: str) -> None:
    perform, _ = CALLS[call]
    with black_hole() as url, open_api(face, config_of(url, deadline=DEADLINE)) as database:
        start = time.monotonic()
        with pytest.raises(UnavailableError, match="ConnectTimeoutError"):
            perform(database)

        assert time.monotonic() - start < DEADLINE + LATE + SLACK


@contextmanager
def credentials_source(*seconds: float) -> Iterator[str]:
    """Serves credentials as a container's agent does; each lives for so many seconds more, the last for an hour."""
    given: list[float] = [*seconds]

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = len(seconds) - len(given)
            lives = given.pop(0) if given else 3600.0
            expiration = datetime.now(UTC) + timedelta(seconds=lives)
            content = {
                "AccessKeyId": f"KEY{number}",
                "SecretAccessKey": "secret",
                "Token": "token",
                "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/credentials"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("face", APIS)
def test_credentials_that_expire_are_refreshed_in_between(
    no_credentials: None, monkeypatch: pytest.MonkeyPatch, face: str
) -> None:
    keys: list[str] = []

    def answer(handler: Any) -> None:
        keys.append(handler.headers["Authorization"].partition("Credential=")[2].partition("/")[0])
        succeed({"Item": {"version": {"S": "1.0"}}})(handler)

    with credentials_source(2.0) as agent, serve(answer) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent)
        with open_api(face, DynamoDBConfig("PROD", "us-east-1", endpoint_url=server.url)) as database:
            for _ in range(2):
                assert database.get_latest_spec_version(sub="u1", name="a") == "1.0"

    assert keys[-1] == "KEY1"
