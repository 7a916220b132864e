"""A Pyramid and a Flask application under waitress, on two instances."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest

from open_alchemy.package_database import instance
from open_alchemy.package_database.testing.local_instances import LocalInstances
from tests.instances.servers import run_waitress
from tests.sqlalchemy.applications import WSGI, flask_application, pyramid_application
from tests.sqlalchemy.conftest import create_notes

APPLICATIONS: dict[str, Callable[[], WSGI]] = {
    "Pyramid": lambda: pyramid_application({}),
    "Pyramid, explicit": lambda: pyramid_application({"tm.manager_hook": "pyramid_tm.explicit_manager"}),
    "Flask": flask_application,
}


@pytest.fixture(params=APPLICATIONS)
def port(request: pytest.FixtureRequest, _instances: LocalInstances) -> Iterator[int]:
    for name in ("one", "two"):
        with instance(name):
            create_notes()
    with run_waitress(APPLICATIONS[request.param]()) as port:
        yield port


def call(port: int, method: str, name: str, text: str = "") -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", port)
    try:
        connection.request(method, f"/notes?text={quote(text)}", headers={"InstanceId": name})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    return response.status, json.loads(body) if response.status == 200 else {}


def test_a_request_is_one_transaction_on_its_instance(port: int) -> None:
    assert call(port, "POST", "one", "first") == (200, {"instance": "one", "texts": ["first"]})
    assert call(port, "POST", "two", "second") == (200, {"instance": "two", "texts": ["second"]})
    assert call(port, "POST", "one", "third") == (200, {"instance": "one", "texts": ["first", "third"]})
    assert call(port, "DELETE", "one", "first") == (200, {"instance": "one", "texts": ["third"]})
    assert call(port, "GET", "two") == (200, {"instance": "two", "texts": ["second"]})


def test_a_failed_request_changes_nothing(port: int) -> None:
    status, _ = call(port, "POST", "one", "fail")

    assert status == 500
    assert call(port, "GET", "one") == (200, {"instance": "one", "texts": []})


def test_concurrent_requests_do_not_mix_instances(port: int) -> None:
    for name in ("one", "two"):
        call(port, "POST", name, f"note of {name}")
    names = ["one", "two"] * 20

    with ThreadPoolExecutor(16) as executor:
        answers = list(executor.map(lambda name: call(port, "GET", name), names))

    assert answers == [(200, {"instance": name, "texts": [f"note of {name}"]}) for name in names]
