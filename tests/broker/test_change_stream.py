"""What a reader of changes gets, message by message. No I/O and no clock."""

from __future__ import annotations

import pytest

from open_alchemy.package_database import Change, Missed
from open_alchemy.package_database.change_feed import stream as change_stream
from open_alchemy.package_database.change_feed.stream import SILENCE_SECONDS, ChangeStream, Event
from open_alchemy.package_database.engines.broker import messages
from open_alchemy.package_database.engines.broker.messages import Changed, Subscribed
from open_alchemy.package_database.model.schema import CREDENTIALS, TABLES


@pytest.fixture
def stream() -> ChangeStream:
    return ChangeStream({table.name: table for table in TABLES})


def changed(number: int, *ids: str, epoch: str = "first") -> Changed:
    changes = tuple(messages.Change("deleted", CREDENTIALS.name, "u", id_) for id_ in ids or (str(number),))
    return Changed("subscription", epoch, number, changes)


def read(stream: ChangeStream) -> list[str]:
    """Returns the ids of the changes that are unread, and `missed`."""
    found: list[Event] = []
    while (event := stream.next()) is not None:
        found.append(event)
    return ["missed" if isinstance(event, Missed) else event.key["id"] for event in found]


def test_the_first_event_is_missed(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 0), 0)
    stream.receive(Subscribed("second", 7), 0)
    assert read(stream) == ["missed"]


def test_changes_are_in_the_order_of_their_numbers(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 4), 0)
    stream.receive(changed(5, "a", "b"), 0)
    stream.receive(changed(6, "c"), 0)
    stream.receive(Subscribed("first", 6), 1)
    assert read(stream) == ["missed", "a", "b", "c"]


def test_a_change_has_the_names_of_its_key(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 0), 0)
    stream.receive(changed(1, "a"), 0)
    stream.next()
    assert stream.next() == Change("deleted", CREDENTIALS.name, {"sub": "u", "id": "a"}, None)


def test_a_gap_in_the_numbers_is_missed(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 0), 0)
    for number in (1, 3, 4, 7):
        stream.receive(changed(number), 0)
    assert read(stream) == ["missed", "1", "missed", "3", "4", "missed", "7"]


def test_a_lost_last_message_is_noticed_at_the_next_renewal(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 0), 0)
    read(stream)
    stream.receive(Subscribed("first", 1), 1)
    assert read(stream) == ["missed"]
    stream.receive(changed(1), 1)
    stream.receive(changed(2), 1)
    assert read(stream) == ["2"]


def test_a_message_that_is_delivered_twice_is_read_once(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 0), 0)
    stream.receive(changed(1), 0)
    stream.receive(changed(1), 0)
    assert read(stream) == ["missed", "1"]


def test_a_restart_of_a_broker_is_missed(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 5), 0)
    read(stream)
    stream.receive(changed(1, epoch="second"), 1)
    stream.receive(Subscribed("second", 1), 1)
    stream.receive(changed(2, epoch="second"), 1)
    assert read(stream) == ["missed", "2"]


def test_brokers_are_numbered_apart(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 0), 0)
    stream.receive(Subscribed("second", 10), 0)
    stream.receive(changed(1, "a"), 0)
    stream.receive(changed(11, "b", epoch="second"), 0)
    assert read(stream) == ["missed", "a", "b"]


def test_a_broker_that_does_not_answer_is_missed_once_and_again_when_it_is_back(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 0), 0)
    read(stream)
    stream.expire(SILENCE_SECONDS)
    assert read(stream) == []
    stream.expire(SILENCE_SECONDS + 0.1)
    stream.expire(SILENCE_SECONDS + 5)
    assert read(stream) == ["missed"]
    stream.receive(Subscribed("first", 0), 20)
    assert read(stream) == ["missed"]


def test_the_changes_of_a_reader_that_does_not_read_are_dropped(
    stream: ChangeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_stream, "MAX_UNREAD", 3)
    stream.receive(Subscribed("first", 0), 0)
    for number in range(1, 6):
        stream.receive(changed(number), 0)
    assert read(stream) == ["missed", "4", "5"]


def test_changes_of_unknown_tables_are_skipped(stream: ChangeStream) -> None:
    stream.receive(Subscribed("first", 0), 0)
    change = messages.Change("created", "of a later version", "u", "a")
    stream.receive(Changed("subscription", "first", 1, (change,)), 0)
    assert read(stream) == ["missed"]
