"""The faults over real sockets: a pairwise selection of API, fault and call, and with --long every combination.

``test_virtual_time.py`` checks the deadlines above the HTTP clients. Here the HTTP clients must
recognize each fault on the wire, which no third parameter changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations, product
from threading import Thread
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import UnavailableError
from open_alchemy.package_database.engines.dynamodb.config import DynamoDBConfig
from tests.apis import APIS, config_of, open_api
from tests.canned_server import serve, succeed
from tests.faults.backend import Backend
from tests.faults.calls import CALLS, ONE_OF_EACH_KIND, UNTOUCHED, WRITES, stored
from tests.faults.faults import LATE, PERMANENT, TRANSIENT, Network
from tests.faults.sockets import black_hole, serve_network
from tests.instant_delays import instant_delays
from tests.pairwise import pairwise, selected


def rows(faults: Any, calls: Any = ONE_OF_EACH_KIND) -> list[Any]:
    return selected(product(APIS, faults, calls))


@pytest.mark.parametrize(("api", "fault", "call"), rows(TRANSIENT))
def test_a_transient_fault_changes_neither_result_nor_effect(backend: Backend, api: str, fault: str, call: str) -> None:
    network = Network(backend, TRANSIENT[fault])
    # The answer to the next attempt must not take longer than this.
    timeouts = {"read": 0.3} if fault.startswith("no answer") else {}
    with (
        serve_network(network) as server,
        instant_delays(**timeouts) as sources,
        open_api(api, config_of(server.url), sources) as database,
    ):
        result = CALLS[call].perform(database)

    assert result == CALLS[call].result
    assert stored(backend) == CALLS[call].effect


@pytest.mark.parametrize(("api", "fault", "call"), rows([fault for fault in PERMANENT if fault != "no connection"]))
def test_a_permanent_fault_is_a_typed_error(backend: Backend, api: str, fault: str, call: str) -> None:
    behaviour, error = PERMANENT[fault]
    timeouts = {"read": 0.05} if fault == "no answer" else {}
    network = Network(backend, behaviour, times=None)
    with (
        serve_network(network) as server,
        instant_delays(**timeouts) as sources,
        open_api(api, config_of(server.url), sources) as database,
        pytest.raises(getattr(package_database, error)),
    ):
        CALLS[call].perform(database)

    assert stored(backend) in (UNTOUCHED, CALLS[call].effect)


@pytest.mark.parametrize("api", APIS)
def test_a_host_that_does_not_accept_connections_is_unavailable(api: str) -> None:
    with (
        black_hole() as url,
        instant_delays(connect=0.05) as sources,
        open_api(api, config_of(url), sources) as database,
        pytest.raises(UnavailableError, match="ConnectTimeoutError"),
    ):
        database.get_latest_spec_version(sub="u1", name="a")


@pytest.mark.parametrize(("api", "fault", "call"), rows(LATE, WRITES))
def test_a_late_delivery_changes_nothing(backend: Backend, api: str, fault: str, call: str) -> None:
    network = Network(backend, LATE[fault], writes_only=True)
    with (
        serve_network(network) as server,
        instant_delays() as sources,
        open_api(api, config_of(server.url), sources) as database,
    ):
        CALLS[call].perform_with_later(database)
    expected = backend.items()

    network.deliver_late()

    assert backend.items() == expected


def test_the_pairwise_selection_contains_every_pair() -> None:
    possible = list(product(APIS, TRANSIENT, ONE_OF_EACH_KIND))

    chosen = pairwise(possible)

    assert {pair for row in chosen for pair in combinations(row, 2)} == {
        pair for row in possible for pair in combinations(row, 2)
    }
    assert len(chosen) < len(possible) / 3


@contextmanager
def serve_credentials(*lifetimes: float) -> Iterator[str]:
    """Serves credentials as the agent of a container does, each with a lifetime in seconds, the last with an hour."""
    left = [*lifetimes]

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = len(lifetimes) - len(left)
            expiration = datetime.now(UTC) + timedelta(seconds=left.pop(0) if left else 3600)
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
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/credentials"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("api", APIS)
def test_credentials_that_expire_are_refreshed(no_credentials: None, monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    keys: list[str] = []

    def answer(handler: Any) -> None:
        keys.append(handler.headers["Authorization"].partition("Credential=")[2].partition("/")[0])
        succeed({"Item": {"version": {"S": "1.0"}}})(handler)

    with serve_credentials(2.0) as agent, serve(answer) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent)
        with open_api(api, DynamoDBConfig("PROD", "us-east-1", endpoint_url=server.url)) as database:
            for _ in range(2):
                assert database.get_latest_spec_version(sub="u1", name="a") == "1.0"

    assert keys[-1] == "KEY1"
