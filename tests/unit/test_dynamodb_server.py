"""The local DynamoDB runs in a child process that ends with its parent."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from open_alchemy.package_database.testing import dynamodb_server
from open_alchemy.package_database.testing.dynamodb_server import LocalServerError

PARENT = """
import os, sys
from open_alchemy.package_database.testing import dynamodb_server
with dynamodb_server.run() as url:
    if sys.argv[1:] == ["fork"] and os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print(url, flush=True)
    sys.stdin.read()
"""


def is_up(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) == 0


def test_the_server_answers_and_stops() -> None:
    with dynamodb_server.run() as url:
        assert is_up(url)

    assert not is_up(url)


@pytest.mark.usefixtures("measured_programs")
@pytest.mark.parametrize(
    "argument",
    [
        "alone",
        pytest.param("fork", marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")),
    ],
)
def test_the_server_ends_with_its_parent(argument: str) -> None:
    command = [sys.executable, "-c", PARENT, argument]
    # The forked child reads the pipe until the end of the test. A server that ends closes its connections.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        address = urlsplit(parent.stdout.readline().strip())
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            assert connection.recv(9) == b"HTTP/1.1 "
            parent.kill()
            with suppress(ConnectionResetError):
                while connection.recv(1000):
                    """The rest of the response."""


def test_the_error_names_a_port_in_use() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with (
            pytest.raises(LocalServerError, match=f"did not start on port {port}: .* in use"),
            dynamodb_server.run(port),
        ):
            pass


def test_a_port_is_free_if_nothing_listens() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        assert dynamodb_server.is_free(port)
        other.listen()
        assert not dynamodb_server.is_free(port)


def test_the_error_names_the_extra_that_installs_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb_server, "find_spec", lambda _: None)
    assert importlib.util.find_spec("moto") is not None

    with pytest.raises(LocalServerError, match=r"open-alchemy.package-database\[test\]"), dynamodb_server.run():
        pass
