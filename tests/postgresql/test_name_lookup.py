"""The names of servers are looked up within the deadline of a call."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from open_alchemy.package_database import UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines.postgresql.name_lookup import with_addresses
from open_alchemy.package_database.engines.registry import from_url
from tests.apis import connect_to

ADDRESSES = {"one": ["10.0.0.1"], "two": ["10.0.0.2", "fd00::2"]}


def answer(host: str, *_: object, **__: object) -> list[Any]:
    host.encode("idna")
    if host not in ADDRESSES:
        raise socket.gaierror
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ADDRESSES[host]]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("conninfo", "expected"),
    [
        ("host=one", {"host": "one", "hostaddr": "10.0.0.1", "port": "5432"}),
        ("host=one port=1", {"host": "one", "hostaddr": "10.0.0.1", "port": "1"}),
        (
            "postgresql://one:1,two:2,127.0.0.1:3,none:4/",
            {
                "host": "one,two,two,127.0.0.1,none",
                "hostaddr": "10.0.0.1,10.0.0.2,fd00::2,,",
                "port": "1,2,2,3,4",
            },
        ),
        ("host=127.0.0.1", {"host": "127.0.0.1"}),
        ("host=::1", {"host": "::1"}),
        ("host=/var/run", {"host": "/var/run"}),
        ("host=one hostaddr=10.0.0.9", {"host": "one", "hostaddr": "10.0.0.9"}),
        ("host=one,two port=1,2,3", {"host": "one,two", "port": "1,2,3"}),
        ("dbname=a", {"dbname": "a"}),
    ],
)
@pytest.mark.usefixtures("resolver")
def test_each_host_has_its_addresses(conninfo: str, expected: dict[str, str]) -> None:
    assert with_addresses(conninfo, Deadline(5)) == expected


@pytest.mark.usefixtures("resolver")
def test_the_host_of_the_environment_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "one")
    monkeypatch.setenv("PGPORT", "7")

    assert with_addresses("", Deadline(5)) == {"host": "one", "hostaddr": "10.0.0.1", "port": "7"}


def test_a_resolver_that_does_not_answer_ends_the_call_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def block(*_: object, **__: object) -> list[Any]:
        is_over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", block)
    config = from_url("postgresql://u@some.host/a", {"PACKAGE_DATABASE_DEADLINE": "0.2"})
    with connect_to(config) as database, pytest.raises(UnavailableError) as caught:
        database.list_specs(sub="u")
    is_over.set()

    assert caught.value.code == "DeadlineExceeded"


@pytest.mark.parametrize("host", ["none", "a..b"])
def test_a_name_that_does_not_exist_is_reported(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    config = from_url(f"postgresql://u@{host}/a", {"PACKAGE_DATABASE_DEADLINE": "0.2"})

    with connect_to(config) as database, pytest.raises(UnavailableError, match=f"failed to resolve host '{host}'"):
        database.list_specs(sub="u")


def test_a_server_is_found_by_its_name(url: str) -> None:
    with connect_to(from_url(url.replace("127.0.0.1", "localhost"), {})) as database:
        assert database.list_specs(sub="u") == []
