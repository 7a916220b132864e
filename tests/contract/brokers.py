"""Runs the brokers of the contract tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from open_alchemy.package_database.coherence import leases
from open_alchemy.package_database.engines.broker.config import BrokerConfig, Bus, CacheOptions
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from tests.broker.brokers import QUICK, memory_store, run_broker, store_at
from tests.broker.bus_processes import NATSProcess, RabbitMQProcess


@contextmanager
def run(way: str, served: Config | None, request: pytest.FixtureRequest) -> Iterator[BrokerConfig]:
    """Runs a broker, and yields the configuration of its clients.

    Args:
        way: How it is reached: ``broker``, ``nats`` or ``amqp``; with ``cache`` its clients cache.
        served: The configuration of its store; None for SQLite in memory.
        request: The request of a fixture.
    """
    # While the registry takes longer to read than a view may be old, no write is acknowledged.
    is_local = served is None or isinstance(served, SQLiteConfig)
    timing = QUICK if is_local else QUICK._replace(view=0.5, beat=0.1)
    store = memory_store() if served is None else store_at(served)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "DEFAULT", timing)
        with run_broker(store, _bus(way, request)) as broker:
            yield broker.config._replace(cache=CacheOptions() if "cache" in way else None)


def _bus(way: str, request: pytest.FixtureRequest) -> Bus | None:
    if "nats" in way:
        nats: NATSProcess = request.getfixturevalue("nats_server")
        return nats.bus(uuid4().hex)
    if "amqp" in way:
        rabbitmq: RabbitMQProcess = request.getfixturevalue("rabbitmq")
        return rabbitmq.bus(uuid4().hex)
    return None
