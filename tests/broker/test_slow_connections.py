"""Long answers over slow connections, in virtual time: each request is sent once. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import count
from types import SimpleNamespace
from typing import cast

import pytest

from open_alchemy.package_database.broker.server import Server
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Query
from open_alchemy.package_database.core.runner import drive
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.broker import client, messages
from open_alchemy.package_database.engines.broker.client import Client
from open_alchemy.package_database.engines.broker.client_protocol import Requests
from open_alchemy.package_database.engines.broker.codec import Buffer, decode_request
from open_alchemy.package_database.engines.broker.fragmentation import PART_BYTES, split
from open_alchemy.package_database.engines.broker.messages import Item, Items
from open_alchemy.package_database.engines.broker.transports import Peer, ServerTransport
from open_alchemy.package_database.model.schema import SPECS

PAGES = 3
PAGE_BYTES = 1_000_000


class SlowConnection:
    """A connection and its broker, which answers each request with a page.

    Args:
        rate: How many bytes of answers it transfers in a second.

    Attributes:
        now: The time.
        requests: The position of each requested page.
        lost: How many answers are lost.
    """

    is_lost = False

    def __init__(self, rate: float) -> None:
        self.now = 0.0
        self.requests: list[int] = []
        self.lost = 0
        self._rate = rate
        self._server = Server({})
        self._numbers = count()
        self._sent: deque[tuple[float, Secret]] = deque()

    def send(self, message: Secret, _: float) -> bool:
        """Sends a request."""
        request = decode_request(message)[1]
        after = cast("messages.Query", request.body).after
        page = 0 if after is None else int(after["updated_at_id"])
        self.requests.append(page)
        items = [Item({"sub": "u", "updated_at_id": str(page), "id": "x" * PAGE_BYTES})]
        rest = {"sub": "u", "updated_at_id": str(page + 1)} if page + 1 < PAGES else None
        self._server.send(Peer(cast("ServerTransport", Transport(self)), ""), request.id, Items(items, rest))
        return True

    def transfer(self, message: Secret, report: Secret | None) -> None:
        """Sends an answer."""
        if self.lost:
            self.lost -= 1
            return
        for part in split(message, PART_BYTES, next(self._numbers), report):
            start = max(self.now, self._sent[-1][0] if self._sent else 0.0)
            self._sent.append((start + len(part) / self._rate, part))

    def receive(self, seconds: float) -> Buffer | None:
        """Waits for a message."""
        if self._sent and self._sent[0][0] <= self.now + seconds:
            self.now, message = self._sent.popleft()
            return memoryview(message)
        self.now += seconds
        return None

    def watch(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Transport:
    """The broker's side of the connection."""

    def __init__(self, connection: SlowConnection) -> None:
        self._connection = connection

    def send(self, _: Hashable, message: Secret, report: Secret | None) -> None:
        self._connection.transfer(message, report)


def pages(connection: SlowConnection, monkeypatch: pytest.MonkeyPatch, *, brokers: int = 1) -> list[str]:
    """Reads a list with the default deadline, and returns the positions of its pages."""
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: connection.now))
    deadline = Deadline(5.0, renewable=True, clock=lambda: connection.now)
    steps = Requests(brokers, 0, "").execute(Query(SPECS, "u"), deadline)
    found = drive(steps, Client(["address"] * brokers, lambda _: connection).perform)
    return [item["updated_at_id"] for item in found]


@pytest.mark.parametrize("rate", [2_000_000, 500_000, 220_000])
@pytest.mark.parametrize("brokers", [1, 2])
def test_a_page_that_is_transferred_slowly_is_requested_once(
    rate: int, brokers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = SlowConnection(rate)
    assert pages(connection, monkeypatch, brokers=brokers) == ["0", "1", "2"]
    assert connection.requests == [0, 1, 2]


def test_a_page_that_is_lost_is_requested_again_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = SlowConnection(2_000_000)
    connection.lost = 1
    assert pages(connection, monkeypatch) == ["0", "1", "2"]
    assert connection.requests == [0, 0, 1, 2]
    assert 2.5 < connection.now < 2.6
