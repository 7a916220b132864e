"""The registry of objects with fork hooks."""

from __future__ import annotations

import gc
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from open_alchemy import package_database
from open_alchemy.package_database.engines import fork

PACKAGE = Path(package_database.__file__).parent


class Recorder:
    """Records its hooks."""

    def __init__(self, name: str, events: list[str]) -> None:
        self._name = name
        self._events = events

    def before_fork(self, end: float) -> None:
        del end
        self._events.append(f"before {self._name}")

    def after_fork_in_child(self) -> None:
        self._events.append(f"child {self._name}")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(fork, "_registered", {})
    return []


@pytest.fixture
def two(events: list[str]) -> list[Recorder]:
    recorders = [Recorder(name, events) for name in "ab"]
    for recorder in recorders:
        fork.register(recorder)
    return recorders


@pytest.fixture
def forking() -> Iterator[None]:
    """Another thread forks this process."""
    fork._forks[-1] = os.getpid()
    yield
    fork._forks.clear()


def test_only_one_module_registers_hooks_with_the_interpreter() -> None:
    modules = [path.stem for path in PACKAGE.rglob("*.py") if re.search(r"os\.register_at_fork\(", path.read_text())]

    assert modules == ["fork"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("two")
def test_hooks_run_in_the_order_of_registration_and_in_the_child_alone_after_the_fork(events: list[str]) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0 if events == ["before a", "before b", "child a", "child b"] and not fork._forks else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert events == ["before a", "before b"]
    assert fork._forks == {}


def test_an_object_that_was_collected_has_no_hooks(events: list[str], two: list[Recorder]) -> None:
    del two[0]
    gc.collect()

    fork._before()
    fork._forks.clear()

    assert events == ["before b"]


def test_a_fork_is_in_progress_for_other_threads_alone() -> None:
    found = []
    fork._before()

    thread = threading.Thread(target=lambda: found.append(fork.is_in_progress()))
    thread.start()
    thread.join()
    found.append(fork.is_in_progress())
    fork._forks.clear()
    found.append(fork.is_in_progress())

    assert found == [True, False, False]


@pytest.mark.usefixtures("forking")
def test_a_child_whose_hooks_were_interrupted_waits_for_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fork.is_in_progress()
    monkeypatch.setattr(os, "getpid", lambda: -1)

    assert (before, fork.is_in_progress()) == (True, False)


def test_a_holder_that_forks_releases_the_lock_that_it_acquired() -> None:
    lock = fork.ForkSafeLock()

    with lock.lock:
        lock.after_fork_in_child()

    assert lock.lock.acquire(blocking=False)
