"""Changes over real sockets, for asyncio and for threads."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from open_alchemy.package_database import (
    Change,
    ConfigurationError,
    Missed,
    UnavailableError,
    ValidationError,
    changes,
    connect,
    iter_changes,
)
from open_alchemy.package_database.change_feed import iterators as changes_module
from open_alchemy.package_database.change_feed import stream as change_stream
from open_alchemy.package_database.change_feed.stream import Event
from open_alchemy.package_database.engines.broker.config import BrokerConfig
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from tests.broker import application
from tests.broker.brokers import RunningBroker, close_process_database, database_of_process, run_application
from tests.canary import HASH, SALT, find

SQLITE = SQLiteConfig(memory="changes")


@pytest.fixture(scope="module")
def running() -> Iterator[RunningBroker]:
    with run_application(SQLITE, application.__name__) as broker:
        yield broker


@pytest.fixture
def broker(running: RunningBroker) -> Iterator[RunningBroker]:
    with database_of_process(running.config), connect(running.url) as other:
        yield running
        other.delete_all(sub="u")
        other.delete_all(sub="other")
        close_process_database()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(change_stream, "SILENCE_SECONDS", 0.3)


class Reader:
    """Reads the changes of a generator, one after the other, in a loop of its own."""

    def __init__(self, stack: ExitStack, sub: str | None) -> None:
        self._runner = stack.enter_context(asyncio.Runner())
        self._events = changes(sub)
        stack.callback(lambda: self._runner.run(self._close()))

    def __next__(self) -> Event:
        return self._runner.run(self._next())

    async def _next(self) -> Event:
        async with asyncio.timeout(60):
            return await anext(self._events)

    async def _close(self) -> None:
        await self._events.aclose()


def open_blocking(stack: ExitStack, sub: str | None = None) -> Any:
    return stack.enter_context(iter_changes(sub))


both = pytest.mark.parametrize("opened", [Reader, open_blocking])


@both
def test_a_reader_gets_what_others_write(opened: Callable[..., Any], broker: RunningBroker) -> None:
    with ExitStack() as stack, connect(broker.url) as other:
        events = opened(stack, None)
        assert next(events) == Missed()
        other.create_update_spec(sub="u", name="a", version="1", model_count=1)
        other.create_update_spec(sub="u", name="a", version="2", model_count=1)
        found = [next(events) for _ in range(4)]
        assert [(change.kind, change.key["updated_at_id"].partition("#")[0] == "latest") for change in found] == [
            ("created", False),
            ("created", True),
            ("created", False),
            ("updated", True),
        ]
        assert found[0].revision == found[1].revision != found[2].revision
        other.create_update_credentials(sub="u", id_="c", public_key="p", secret_key_hash=HASH, salt=SALT)
        other.delete_credentials(sub="u", id_="c")
        key = {"sub": "u", "id": "c"}
        assert [next(events), next(events)] == [
            Change("created", "package.credentials", key, None),
            Change("deleted", "package.credentials", key, None),
        ]
        assert find(repr(found)) == []


@both
def test_a_reader_of_a_user_gets_the_changes_of_this_user(opened: Callable[..., Any], broker: RunningBroker) -> None:
    with ExitStack() as stack, connect(broker.url) as other:
        events = opened(stack, "u")
        assert next(events) == Missed()
        for sub in ("other", "u"):
            other.create_update_spec(sub=sub, name="a", version="1", model_count=1)
        assert next(events).key["sub"] == "u"


@both
def test_exposed_functions_publish_their_changes(opened: Callable[..., Any], broker: RunningBroker) -> None:
    with ExitStack() as stack:
        events = opened(stack, None)
        assert next(events) == Missed()
        asyncio.run(application.publish("u", "a"))
        assert [next(events).kind for _ in range(2)] == ["created", "created"]
        application.publish_in_thread("u", "b")
        assert [next(events).kind for _ in range(2)] == ["created", "created"]


@both
@pytest.mark.usefixtures("quick")
def test_a_reader_misses_a_restart_and_continues(opened: Callable[..., Any]) -> None:
    with ExitStack() as stack:
        with run_application(SQLITE) as first:
            stack.enter_context(database_of_process(first.config))
            events = opened(stack, "u")
            assert next(events) == Missed()
        with run_application(SQLITE, address=first.config.addresses[0]), connect(first.url) as other:
            assert next(events) == Missed()
            other.create_update_spec(sub="u", name="a", version="1", model_count=1)
            event = next(events)
            while event == Missed():
                # The lost broker and the new one, or both at once.
                event = next(events)
            assert event.kind == "created"
            other.delete_all(sub="u")


@both
def test_a_reader_listens_to_each_broker(opened: Callable[..., Any], broker: RunningBroker) -> None:
    with run_application(SQLITE) as second, ExitStack() as stack:
        addresses = (*broker.config.addresses, *second.config.addresses)
        stack.enter_context(database_of_process(BrokerConfig(addresses)))
        events = opened(stack, None)
        assert next(events) == Missed()
        for running in (broker, second):
            with connect(running.url) as other:
                # Until the reader is subscribed to this broker.
                while isinstance(event := _next_after(events, other), Missed):
                    pass
            assert isinstance(event, Change)


def _next_after(events: Any, database: Any) -> Event:
    database.create_update_spec(sub="u", name="a", version="1", model_count=1)
    event: Event = next(events)
    return event


@both
def test_without_a_broker_a_reader_fails_at_the_deadline(opened: Callable[..., Any], quick: None) -> None:
    with database_of_process(BrokerConfig(("tcp://127.0.0.1:9",), deadline=0.1)), ExitStack() as stack:
        events = opened(stack, None)
        with pytest.raises(UnavailableError, match="no broker answered the subscription"):
            next(events)


@pytest.mark.parametrize("read", [changes, iter_changes])
def test_without_a_broker_url_there_are_no_changes(read: Callable[..., Any]) -> None:
    with database_of_process(SQLITE), pytest.raises(ConfigurationError, match="published by a broker"):
        read()


@pytest.mark.parametrize("read", [changes, iter_changes])
def test_an_invalid_user_is_refused(read: Callable[..., Any], broker: RunningBroker) -> None:
    with pytest.raises(ValidationError, match="sub must"):
        read(sub="")


def test_another_thread_ends_a_blocking_reader(broker: RunningBroker) -> None:
    events = iter_changes()
    assert next(events) == Missed()
    closer = threading.Timer(0.05, events.close)
    closer.start()
    assert list(events) == []
    closer.join()
    assert list(events) == []
    events.close()


def test_a_blocking_reader_that_is_collected_ends_its_subscription(broker: RunningBroker, quick: None) -> None:
    kept = iter_changes()
    dropped = iter_changes()
    assert next(kept) == next(dropped) == Missed()
    subscription = dropped._subscription
    del dropped
    gc.collect()
    assert subscription is not None
    with kept, connect(broker.url) as other:
        while not subscription._is_closed:
            other.create_update_spec(sub="u", name="a", version="1", model_count=1)
            next(kept)


def test_a_reader_that_does_not_read_delays_nobody(broker: RunningBroker) -> None:
    async def main() -> tuple[int, Event]:
        lazy: AsyncGenerator[Event] = changes()
        first = await anext(lazy)
        with connect(broker.url) as other:
            for _ in range(60):
                other.create_update_credentials(sub="u", id_="c", public_key="p", secret_key_hash=HASH, salt=SALT)
            count = len(other.list_credentials(sub="u"))
        await lazy.aclose()
        return count, first

    assert asyncio.run(main()) == (1, Missed())
