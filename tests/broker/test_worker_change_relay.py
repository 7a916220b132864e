"""Subscriptions in several workers of a broker: which worker receives which changes. No processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from open_alchemy.package_database.broker import worker_change_relay
from open_alchemy.package_database.broker.worker_change_relay import WorkerLinks, WorkerSubscriptions
from open_alchemy.package_database.engines.broker.codec import MESSAGEPACK
from open_alchemy.package_database.engines.broker.messages import VERSION, Change, Changed, Request, Subscribe
from open_alchemy.package_database.engines.broker.transports import Peer
from open_alchemy.package_database.model.schema import SPECS
from tests.broker.recording import RecordingTransport

CHANGE = Change("created", SPECS.name, "u", "a", "r")


class Workers:
    """Two workers, the second of which has a subscriber."""

    def __init__(self, links: WorkerLinks) -> None:
        self.links = links
        self.now = 0.0
        self.transport = RecordingTransport()
        self.first, self.second = (WorkerSubscriptions(links, number, lambda: self.now) for number in range(2))
        self.first.heartbeat()
        self.second.receive()
        self.subscribe()

    def subscribe(self) -> Any:
        request = Request(VERSION, 1, 0, 1, Subscribe("s"))
        return self.second.subscribe(Peer(self.transport, "c"), MESSAGEPACK, request)

    def numbers(self) -> list[int]:
        """Receives, and returns the numbers of the changes that the subscriber got, and the last number."""
        self.second.receive()
        changed = [answer.body for answer in self.transport.answers if isinstance(answer.body, Changed)]
        return [*(body.number for body in changed), self.subscribe().number]


@pytest.fixture
def workers() -> Iterator[Workers]:
    with closing(WorkerLinks(2)) as links:
        yield Workers(links)


def test_a_subscriber_gets_the_changes_of_all_workers(workers: Workers) -> None:
    workers.first.publish("", [CHANGE])
    workers.second.publish("", [CHANGE])
    workers.first.heartbeat()
    assert workers.numbers() == [1, 2, 2]


def test_changes_of_another_instance_are_not_for_a_subscriber(workers: Workers) -> None:
    workers.first.publish("other", [CHANGE])
    workers.first.publish("", [CHANGE])
    assert workers.numbers() == [1, 1]


def test_a_subscriber_misses_changes_that_may_have_taken_effect(workers: Workers) -> None:
    workers.first.publish("", [CHANGE], is_certain=False)
    assert workers.numbers() == [1]


def test_a_lost_datagram_is_noticed_at_the_next_one(workers: Workers) -> None:
    workers.first.publish("", [CHANGE])
    workers.links.receivers[1].recv(1_000_000)
    workers.first.publish("", [CHANGE])
    assert workers.numbers() == [2, 2]


def test_a_lost_last_datagram_is_noticed_at_the_next_heartbeat(workers: Workers) -> None:
    workers.first.publish("", [CHANGE])
    workers.links.receivers[1].recv(1_000_000)
    workers.first.heartbeat()
    assert workers.numbers() == [1]


def test_changes_that_are_too_long_for_a_datagram_are_missed(workers: Workers) -> None:
    workers.first.publish("", [Change("created", SPECS.name, "u", "a" * 10_000_000)])
    workers.first.heartbeat()
    assert workers.numbers() == [1]


def test_a_worker_that_does_not_receive_blocks_no_other(workers: Workers) -> None:
    for _ in range(10_000):
        workers.first.publish("", [CHANGE])
    workers.first.heartbeat()
    assert len(workers.numbers()) > 1


def test_the_changes_of_a_worker_before_its_end_may_be_missed(workers: Workers) -> None:
    WorkerSubscriptions(workers.links, 0).heartbeat()
    assert workers.numbers() == [1]


def test_a_worker_publishes_while_any_worker_has_a_subscription(workers: Workers) -> None:
    assert workers.first.is_heard("")
    workers.now = 3600.0
    workers.second.heartbeat()
    assert not workers.first.is_heard("")


def test_a_started_worker_receives_and_sends_heartbeats(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_change_relay, "HEARTBEAT_SECONDS", 0.0)

    async def run() -> None:
        repeated = asyncio.Event()
        beats = [None]

        def beat() -> None:
            beats.pop() if beats else repeated.set()

        monkeypatch.setattr(workers.first, "heartbeat", beat)
        workers.first.start()
        workers.second.start()
        workers.first.publish("", [CHANGE])
        assert isinstance((await workers.transport.first()).body, Changed)
        await repeated.wait()

    asyncio.run(run())
