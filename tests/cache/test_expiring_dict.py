from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, assert_type

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ExpiringDict


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def in_threads(function: Callable[[], object]) -> None:
    """Calls a function in four threads, which alternate as often as possible."""
    threads = [threading.Thread(target=function) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


def test_an_entry_of_a_dictionary_expires() -> None:
    clock = Clock()
    entries: ExpiringDict[str, int] = package_database.ExpiringDict(5, clock=clock)
    entries["a"] = 1
    clock.now += 4
    entries["b"] = 2

    clock.now += 1

    assert "a" not in entries
    assert dict(entries) == {"b": 2}
    assert repr(entries) == "<ExpiringDict: 1 entries>"
    del entries["b"]
    assert not entries


def test_a_dictionary_drops_the_least_recently_used_entries() -> None:
    entries: ExpiringDict[int, int] = ExpiringDict(5, 2)
    entries[1] = entries[2] = 0
    assert entries[1] == 0

    entries[3] = 0

    assert sorted(entries) == [1, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "seconds must be a number of seconds above 0, not 0"),
        ((5, 0), "max_entries must be an int of at least 1, not 0"),
        ((5, True), "max_entries must be an int of at least 1, not True"),
    ],
)
def test_an_invalid_argument_of_a_dictionary_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExpiringDict(*arguments)


def test_the_items_of_a_dictionary_do_not_expire_during_an_iteration() -> None:
    clock = Clock()
    entries: ExpiringDict[str, int] = ExpiringDict(5, clock=clock)
    entries.update(a=1, b=2)

    items, values = [], []
    for item, value in zip(entries.items(), entries.values(), strict=True):
        clock.now += 3
        items.append(item)
        values.append(value)

    assert items == [("a", 1), ("b", 2)]
    assert values == [1, 2]
    assert entries == {}


def test_a_dictionary_is_typed() -> None:
    entries: ExpiringDict[str, int] = ExpiringDict(5)

    assert_type(entries.setdefault("a", 1), int)
    assert_type(entries.pop("a"), int)
    assert_type(entries.pop("a", None), int | None)
    assert_type(dict(entries.items()), dict[str, int])


def test_a_default_is_set_once_by_many_threads() -> None:
    entries: ExpiringDict[int, object] = ExpiringDict(100)
    found: list[list[object]] = []

    def set_defaults() -> None:
        found.append([entries.setdefault(number, object()) for number in range(2_000)])

    in_threads(set_defaults)

    assert all(one == found[0] for one in found)


def test_an_entry_is_removed_once_by_many_threads() -> None:
    entries: ExpiringDict[int, int] = ExpiringDict(100)
    removed: list[int] = []

    def remove() -> None:
        for number in range(2_000):
            removed.extend(filter(None, [entries.pop(number, 0)]))

    entries.update({number: number for number in range(1, 2_000)})
    in_threads(remove)

    assert sorted(removed) == list(range(1, 2_000))


def test_a_large_dictionary_is_cleared_at_once() -> None:
    reads = 0

    def counted() -> float:
        nonlocal reads
        reads += 1
        return 0.0

    entries: ExpiringDict[int, int] = ExpiringDict(100, clock=counted)
    entries.update({number: number for number in range(1_000)})
    reads = 0

    entries.clear()

    assert not entries
    assert reads < 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_does_not_wait_for_a_thread_of_its_parent() -> None:
    is_locked, may_release = threading.Event(), threading.Event()
    entries: ExpiringDict[str, int] = ExpiringDict(100)
    entries["a"] = 7

    def hold() -> None:
        with entries._lock.lock:
            is_locked.set()
            may_release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_locked.wait()
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(60, exit=True)
        os._exit(entries["a"])
    _, status = os.waitpid(child, 0)
    may_release.set()
    thread.join()

    assert os.waitstatus_to_exitcode(status) == 7
