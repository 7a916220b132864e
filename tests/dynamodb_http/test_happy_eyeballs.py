"""Connection attempts that fail, without a network."""

from __future__ import annotations

import errno
import socket

import pytest

from open_alchemy.package_database.engines.dynamodb.http import happy_eyeballs
from tests.faults.sockets import black_hole

V4 = socket.AF_INET


class RefusingSocket(socket.socket):
    """Refuses every attempt at once, as a kernel without a route does."""

    def connect_ex(self, _: object) -> int:
        return errno.ENETUNREACH


def test_a_host_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [])

    with pytest.raises(OSError, match="db.example has no address"):
        happy_eyeballs.resolve("db.example", 443)


def test_a_socket_that_cannot_be_configured_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []

    class Unconfigurable(socket.socket):
        def setsockopt(self, *_: object) -> None:
            opened.append(self)
            raise OSError(errno.ENOPROTOOPT, "no such option")

    monkeypatch.setattr("socket.socket", Unconfigurable)

    with pytest.raises(OSError, match="no such option"):
        happy_eyeballs.new_socket(V4)

    assert [each.fileno() for each in opened] == [-1]


def test_an_attempt_that_fails_at_once_is_followed_by_the_next_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sockets = iter([RefusingSocket(V4), socket.socket(V4)])
        monkeypatch.setattr(happy_eyeballs, "new_socket", lambda _: next(sockets))

        with happy_eyeballs.connect([(V4, ("192.0.2.1", 1)), (V4, listener.getsockname())], 30) as connected:
            assert connected.getpeername() == listener.getsockname()

    assert next(sockets, None) is None


def test_the_error_of_the_last_attempt_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happy_eyeballs, "new_socket", RefusingSocket)

    with pytest.raises(OSError, match="unreachable") as caught:
        happy_eyeballs.connect([(V4, ("192.0.2.1", 1)), (V4, ("192.0.2.2", 1))], 30)

    assert caught.value.errno == errno.ENETUNREACH


def test_without_time_left_an_attempt_is_a_timeout() -> None:
    with black_hole() as hole, pytest.raises(TimeoutError):
        happy_eyeballs.connect([(V4, ("127.0.0.1", int(hole.rpartition(":")[2])))], 0)
