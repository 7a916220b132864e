"""Brokers that are killed or stopped under load: no acknowledged write is lost, none is doubled."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from open_alchemy.package_database import TDatabase, UnavailableError, connect
from open_alchemy.package_database.engines.broker import client_protocol
from tests.broker.brokers import memory_store, opened_sync
from tests.broker.bus_processes import BusProcess
from tests.broker.hostile import wait_until
from tests.broker.networks import Network
from tests.broker.processes import BrokerProcess

NAMES = "abcd"
PAUSE = 0.01
"""Between two writes of a writer, so that brokers start while others write."""


class Writer:
    """A client that writes one version after the other.

    Attributes:
        written: The versions that were acknowledged.
        longest: The longest call in seconds.
        errors: The errors of calls.
        between_calls: Is locked during each call.
    """

    def __init__(self, url: str, name: str) -> None:
        self.written: list[str] = []
        self.longest = 0.0
        self.errors: list[Exception] = []
        self.between_calls = threading.Lock()
        self._url = url
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with connect(self._url) as database:
            for number in count():
                if self._stop.wait(PAUSE):
                    return
                with self.between_calls:
                    self._write(database, str(number))

    def _write(self, database: TDatabase, version: str) -> None:
        start = time.monotonic()
        try:
            database.create_update_spec(sub="u", name=self._name, version=version, model_count=1)
        except UnavailableError as error:
            self.errors.append(error)
        else:
            self.written.append(version)
        self.longest = max(self.longest, time.monotonic() - start)


@contextmanager
def writing(url: str, names: str) -> Iterator[list[Writer]]:
    writers = [Writer(url, name) for name in names]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stop()


def check_stored(url: str, writers: list[Writer], names: str) -> None:
    with connect(url) as database:
        for name, writer in zip(names, writers, strict=True):
            stored = Counter(found["version"] for found in database.list_spec_versions(sub="u", name=name))
            assert set(stored) >= set(writer.written), "a write was lost"
            assert set(stored.values()) <= {1}, "a write was doubled"
            assert len(stored) <= len(writer.written) + len(writer.errors)


class Brokers:
    """Two brokers of one store in processes of their own, with writers, on ZeroMQ or on a message bus."""

    def __init__(self, stack: ExitStack, store: str, server: BusProcess | None) -> None:
        self._stack = stack
        self._store = store
        listen = "tcp://127.0.0.1:*" if server is None else server.bus(uuid4().hex).location
        self.processes = [self._start(listen) for _ in range(2)]
        urls = dict.fromkeys(broker.url for broker in self.processes)
        self.url = f"broker://{','.join(url.removeprefix('broker://') for url in urls)}" if server is None else listen
        self.writers = stack.enter_context(writing(self.url, NAMES))

    def wait_for_writes(self, more: int = 3) -> None:
        """Waits until each writer has written more."""
        before = [len(writer.written) for writer in self.writers]
        wait_until(
            lambda: all(
                len(writer.written) >= known + more for writer, known in zip(self.writers, before, strict=True)
            ),
            60,
        )

    def kill(self, number: int) -> None:
        """Kills a broker, and starts it again when the writers have continued."""
        broker = self.processes[number]
        broker.kill()
        self.wait_for_writes()
        self.processes[number] = self._start(broker.url.replace("broker://", "tcp://"))

    def stop(self, number: int, seconds: float) -> None:
        """Stops a broker for a time, after which it receives what waited for it.

        It has no request then: one that holds the lock of SQLite would stop all others.
        """
        process = self.processes[number].process
        with ExitStack() as stack:
            for writer in self.writers:
                stack.enter_context(writer.between_calls)
            process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
            self.wait_for_writes()
        finally:
            process.send_signal(signal.SIGCONT)
        self.wait_for_writes()

    def check(self) -> None:
        """Checks that no acknowledged write was lost, that none was doubled, and that none failed."""
        for writer in self.writers:
            writer.stop()
        for process in self.processes:
            process.__exit__()
        check_stored(self._store, self.writers, NAMES)
        assert [writer.errors for writer in self.writers] == [[]] * len(NAMES)

    def figures(self) -> str:
        """Returns what the writers did."""
        writes = sum(len(writer.written) for writer in self.writers)
        return f"{writes} writes, longest call {max(writer.longest for writer in self.writers):.2f} s"

    def _start(self, listen: str) -> BrokerProcess:
        return self._stack.enter_context(BrokerProcess("--url", self._store, listen=listen))


@pytest.fixture
def brokers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Brokers]:
    server = None if request.param == "zeromq" else request.getfixturevalue("nats_server")
    with ExitStack() as stack:
        yield Brokers(stack, f"sqlite:///{tmp_path / 'specs.db'}", server)


on_both_transports = pytest.mark.parametrize("brokers", ["zeromq", "nats"], indirect=True)


@on_both_transports
def test_no_write_is_lost_or_doubled_when_a_broker_is_killed_and_another_stopped_for_a_time(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_protocol, "SILENCE", 0.2)
    brokers.kill(0)
    # The one that was started again executes the requests of the other.
    brokers.stop(1, 0.3)
    brokers.check()


@pytest.mark.long
@pytest.mark.parametrize("network", ["zeromq", "nats"], indirect=True)
def test_a_half_open_connection_is_noticed_in_5_seconds(network: Network) -> None:
    # The call sends its request again each second.
    proxy, config = network.proxied(network.start_broker(memory_store()), deadline=7)
    database = opened_sync(network.stack, config)
    database.create_update_spec(sub="u", name="a", version="1", model_count=1)
    proxy.stop_forwarding()
    database.create_update_spec(sub="u", name="a", version="2", model_count=1)


@pytest.mark.long
@on_both_transports
def test_no_write_is_lost_or_doubled_when_brokers_are_killed_50_times(
    brokers: Brokers, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(50):
        brokers.kill(number % 2)
    with capsys.disabled():
        print(f"\n50 kills: {brokers.figures()}")  # noqa: T201 (the figures of the run)
    brokers.check()


@pytest.mark.long
@on_both_transports
def test_no_write_is_lost_or_doubled_when_a_broker_is_stopped_for_a_minute(brokers: Brokers) -> None:
    for number in (0, 1):
        brokers.stop(number, 60.0)
    brokers.check()
