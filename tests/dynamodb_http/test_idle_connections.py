"""The idle connections of the sync transport, which threads share without a lock."""

from __future__ import annotations

import time
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from open_alchemy.package_database.engines.dynamodb.http import sync_transport
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.sync_transport import SyncTransport
from open_alchemy.package_database.engines.dynamodb.timeouts import Timeouts


class Connection:
    """A connection that another thread may have taken from the pool."""

    def __init__(self, *, is_usable: bool = True) -> None:
        self.idle_check = SimpleNamespace(is_usable=lambda: is_usable)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Emptied(deque[Any]):
    """Idle connections that other threads take between the check and the use."""

    def __bool__(self) -> bool:
        return True


@pytest.fixture
def transport() -> Any:
    endpoint = Endpoint("127.0.0.1", 1, "us-east-1", is_encrypted=False, authority="h")
    return SyncTransport(endpoint, None, Timeouts.of(5.0))


def test_the_last_idle_connection_may_be_taken_by_another_thread(transport: Any) -> None:
    transport._idle = Emptied()

    assert transport._take_idle() is None


def test_a_connection_may_be_taken_while_it_is_kept(transport: Any) -> None:
    class Taken(Emptied):
        def append(self, _: Any) -> None:
            """Another thread takes the connection at once."""

    transport._idle = Taken()
    connection = Connection()

    transport._keep(connection)

    assert not connection.is_closed


def test_the_oldest_connection_is_closed_if_it_cannot_be_used(transport: Any) -> None:
    closed_by_server, used = Connection(is_usable=False), Connection()
    transport._idle.append(closed_by_server)

    transport._keep(used)

    assert (closed_by_server.is_closed, list(transport._idle)) == (True, [used])


def test_a_connection_whose_exchange_ends_after_the_close_is_closed(transport: Any) -> None:
    idle, in_use = Connection(), Connection()
    transport._idle.append(idle)
    transport.close()

    transport._keep(in_use)

    assert (idle.is_closed, in_use.is_closed, list(transport._idle)) == (True, True, [])


def test_two_threads_may_close_the_connections() -> None:
    connections = Emptied([Connection(), Connection()])

    sync_transport._close_all(connections)

    assert len(connections) == 0


def test_no_attempt_is_made_without_time_left() -> None:
    with pytest.raises(TimeoutError):
        sync_transport._left(time.monotonic())
