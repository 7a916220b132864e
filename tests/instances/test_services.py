"""The examples of docs/instances.md under real servers: Flask and Pyramid under waitress, FastAPI under uvicorn."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from open_alchemy import package_database
from open_alchemy.package_database.testing.local_instances import LocalInstances
from tests.instances.servers import SERVICES, load, request

pytestmark = pytest.mark.usefixtures("_instances")


@pytest.fixture(scope="module", autouse=True)
def _long_deadline() -> Iterator[None]:
    """Gives the calls of concurrent requests enough time on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PACKAGE_DATABASE_DEADLINE", "60")
        yield


@pytest.fixture(scope="module", params=SERVICES)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a service."""
    name: str = request.param
    with SERVICES[name](load(name)) as port:
        yield port


@pytest.mark.parametrize("requests", [40, pytest.param(200, marks=pytest.mark.long)])
def test_concurrent_requests_do_not_mix(port: int, requests: int) -> None:
    chosen = ["one", "two"] * (requests // 2)

    def publish(number: int, instance: str) -> tuple[str, str]:
        answer = request(port, f"/specs/u1/{instance}-{number}", {"InstanceId": instance}, "PUT")
        listed = request(port, "/specs/u1", {"InstanceId": instance})
        return json.loads(answer.body)["instance"], listed.body

    with ThreadPoolExecutor(requests) as threads:
        answers = list(threads.map(publish, range(requests), chosen))

    assert [instance for instance, _ in answers] == chosen
    for instance, (_, listed) in zip(chosen, answers, strict=True):
        assert {name.split("-")[0] for name in json.loads(listed)} == {instance}
    for instance in ("one", "two"):
        with package_database.instance(instance):
            names = [spec["name"] for spec in package_database.get().list_specs(sub="u1")]
        assert len(names) == requests // 2
        assert all(name.startswith(instance) for name in names)


WRONG = {
    "three": "the header InstanceId names no instance\n",
    "one, two": "the header InstanceId is repeated\n",
    "../one": "the header InstanceId must be 1 to 64 letters, digits, '.', '-' and '_'\n",
}


def test_a_wrong_header_is_refused(port: int) -> None:
    answers = {value: request(port, "/specs/u1", {"InstanceId": value}) for value in WRONG}
    missing = request(port, "/specs/u1")
    correct = request(port, "/specs/u1", {"InstanceId": "one"})

    assert answers == {value: (400, message) for value, message in WRONG.items()}
    assert missing == (400, "the header InstanceId is missing\n")
    assert correct.status == 200


def test_an_empty_header_is_never_the_default(port: int, _instances: LocalInstances) -> None:
    _instances.write("one", "two", default="one")

    assert request(port, "/specs/u1", {"InstanceId": ""}).status == 400
    assert request(port, "/specs/u1").status == 200


def test_the_trailer_of_a_request_does_not_select(port: int) -> None:
    for instance in ("one", "two"):
        request(port, f"/specs/u1/{instance}", {"InstanceId": instance}, "PUT")
    lines = ["GET /specs/u1 HTTP/1.1", "Host: a", "InstanceId: one", "Transfer-Encoding: chunked", "Connection: close"]
    trailer = ["0", "InstanceId: two", "", ""]

    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, connection.makefile("rb") as answer:
        connection.sendall("\r\n".join([*lines, "", *trailer]).encode())
        received = answer.read()

    assert b"400 Bad Request" in received or b'["one"]' in received


def test_an_instance_is_found_while_the_service_runs(port: int, _instances: LocalInstances) -> None:
    before = request(port, "/specs/u1", {"InstanceId": "three"})

    _instances.write("one", "three")

    assert before.status == 400
    assert request(port, "/specs/u1", {"InstanceId": "three"}).status == 200
    assert request(port, "/specs/u1", {"InstanceId": "two"}).status == 400
