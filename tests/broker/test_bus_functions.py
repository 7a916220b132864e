"""Exposed functions and changes over NATS: a request gets to one of the brokers, a subscription to all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from open_alchemy.package_database import Change, Missed, UnavailableError, get
from open_alchemy.package_database.engines.broker import client_protocol
from open_alchemy.package_database.engines.broker.config import BrokerConfig, Bus
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from tests.broker import application
from tests.broker.brokers import RunningBroker, close_process_database, database_of_process, run_application
from tests.broker.bus_processes import run_nats
from tests.broker.test_changes import both

SQLITE = SQLiteConfig(memory="bus")


@pytest.fixture
def brokers(bus: Bus) -> Iterator[list[RunningBroker]]:
    application.runs.clear()
    with ExitStack() as stack:
        running = [stack.enter_context(run_application(SQLITE, application.__name__, bus=bus)) for _ in range(2)]
        stack.enter_context(database_of_process(running[0].config))
        yield running
        get().delete_all(sub="u")
        close_process_database()


def test_functions_run_in_one_of_the_brokers(brokers: list[RunningBroker]) -> None:
    asyncio.run(application.publish("u", "a"))
    assert application.count("u") == 1
    assert application.runs == ["broker", "package-database call"]


@both
def test_a_reader_gets_the_changes_of_all_brokers(opened: Callable[..., Any], brokers: list[RunningBroker]) -> None:
    with ExitStack() as stack:
        events = opened(stack, None)
        assert next(events) == Missed()
        while not all(broker.server.subscriptions.is_heard("") for broker in brokers):
            time.sleep(0.01)
        before = [broker.server.requests for broker in brokers]
        found: list[str] = []
        for number in range(20):
            get().create_update_credentials(
                sub="u", id_=str(number), public_key=str(number), secret_key_hash=b"", salt=b""
            )
        while len(found) < 20:
            event = next(events)
            if isinstance(event, Change):
                found.append(event.key["id"])
        assert sorted(found, key=int) == [str(number) for number in range(20)]
        assert all(broker.server.requests > count for broker, count in zip(brokers, before, strict=True))


@pytest.mark.parametrize("call", [lambda: asyncio.run(application.once()), lambda: application.count("u")])
def test_a_call_is_not_repeated_after_a_time_without_the_bus(
    call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_protocol, "SILENCE", 0.1)
    application.runs.clear()
    with run_nats() as server:
        config = BrokerConfig(("bus",), deadline=0.5, bus=server.bus("a"))
        server.stop()
        with database_of_process(config):
            with pytest.raises(UnavailableError, match="no broker answered"):
                call()
            close_process_database()
    assert application.runs == []
