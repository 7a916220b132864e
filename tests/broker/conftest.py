from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from open_alchemy.package_database.engines.broker.config import Bus
from tests.broker.bus_processes import NATSProcess
from tests.broker.networks import Network, open_network


@pytest.fixture(autouse=True)
def _long_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call of ``connect`` fails because a busy machine delays it."""
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", "60")


@pytest.fixture
def bus(nats_server: NATSProcess) -> Bus:
    """A bus of brokers of their own on NATS."""
    return nats_server.bus(uuid4().hex)


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """The transport that ``on_each_transport`` selects."""
    with open_network(request) as opened:
        yield opened
