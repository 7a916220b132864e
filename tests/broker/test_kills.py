"""Brokers that are killed, and a store that is down, under load: no acknowledged write is lost, none is doubled."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from open_alchemy.package_database import UnavailableError, connect
from tests.broker.hostile import wait_until
from tests.broker.processes import BrokerProcess


class Writer:
    """A client that writes one version after the other.

    Attributes:
        written: The versions that were acknowledged.
        longest: The longest call in seconds.
        errors: The errors of calls.
    """

    def __init__(self, url: str, name: str) -> None:
        self.written: list[str] = []
        self.longest = 0.0
        self.errors: list[Exception] = []
        self._url = url
        self._name = name
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped = True
        self._thread.join()

    def _run(self) -> None:
        with connect(self._url) as database:
            for number in count():
                if self._is_stopped:
                    return
                start = time.monotonic()
                try:
                    database.create_update_spec(sub="u", name=self._name, version=str(number), model_count=1)
                except UnavailableError as error:
                    self.errors.append(error)
                else:
                    self.written.append(str(number))
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


def kill_brokers(tmp_path: Path, kills: int) -> list[Writer]:
    """Kills one of two brokers at a time, under load, and starts it again."""
    names, store = "abcd", f"sqlite:///{tmp_path / 'specs.db'}"
    with ExitStack() as stack:
        brokers = [stack.enter_context(BrokerProcess("--url", store)) for _ in range(2)]
        url = f"broker://{','.join(f'127.0.0.1:{broker.port}' for broker in brokers)}"
        writers = stack.enter_context(writing(url, names))
        for number in range(kills):
            before = [len(writer.written) for writer in writers]
            brokers[number % 2].kill()
            wait_until(
                lambda before=before: all(  # type: ignore[misc]
                    len(writer.written) > known + 2 for writer, known in zip(writers, before, strict=True)
                )
            )
            port = brokers[number % 2].port
            brokers[number % 2] = stack.enter_context(BrokerProcess("--url", store, listen=f"tcp://127.0.0.1:{port}"))
        for writer in writers:
            writer.stop()
    check_stored(store, writers, names)
    return writers


def test_no_write_is_lost_or_doubled_when_brokers_are_killed(tmp_path: Path) -> None:
    writers = kill_brokers(tmp_path, 2)
    assert [writer.errors for writer in writers] == [[]] * 4


@pytest.mark.long
def test_no_write_is_lost_or_doubled_when_brokers_are_killed_50_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writers = kill_brokers(tmp_path, 50)
    longest = max(writer.longest for writer in writers)
    with capsys.disabled():
        print(  # noqa: T201 (the figures of the run)
            f"\n50 kills: {sum(len(writer.written) for writer in writers)} writes, longest call {longest:.2f} s"
        )
    assert [writer.errors for writer in writers] == [[]] * 4
    assert longest < 2
