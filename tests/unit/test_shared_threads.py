"""The threads that engines share: each engine has its turn, and a shutdown of the interpreter loses no call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from open_alchemy.package_database.engines import shared_threads
from open_alchemy.package_database.engines.shared_threads import EngineThreads

TURNS = shared_threads.THREADS_OF_ENGINE * shared_threads._TURN


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Blocks the only thread until the test opens the gate."""
    monkeypatch.setattr(shared_threads, "_executor", shared_threads._Executor(1))
    gate = threading.Event()
    EngineThreads().submit(lambda: gate.wait(60))
    yield gate
    gate.set()


def test_an_engine_with_many_calls_lets_others_have_their_turn(gate: threading.Event) -> None:
    executed: list[str] = []
    busy, other = EngineThreads(), EngineThreads()
    of_busy = [busy.submit(lambda: executed.append("busy")) for _ in range(2 * TURNS)]
    of_other = other.submit(lambda: executed.append("other"))

    gate.set()
    for future in (of_other, *of_busy):
        future.result(60)

    assert len(executed) == 2 * TURNS + 1
    assert executed.index("other") <= TURNS


def test_calls_are_executed_in_order_and_those_that_were_cancelled_are_not(gate: threading.Event) -> None:
    threads = EngineThreads()
    executed: list[int] = []

    def append(number: int) -> Callable[[], None]:
        return lambda: executed.append(number)

    futures = [threads.submit(append(number)) for number in range(40)]
    futures[1].cancel()
    gate.set()
    futures[-1].result(60)

    assert executed == [0, *range(2, 40)]


def test_a_shutdown_of_the_interpreter_refuses_new_calls_and_executes_the_others(gate: threading.Event) -> None:
    threads = EngineThreads()
    futures = [threads.submit(lambda: 1) for _ in range(TURNS * 2)]

    shared_threads._executor._executor.shutdown(wait=False)
    with pytest.raises(RuntimeError):
        EngineThreads().submit(lambda: 1)
    gate.set()

    assert [future.result(60) for future in futures] == [1] * len(futures)


def test_an_error_is_the_callers(gate: threading.Event) -> None:
    gate.set()

    with pytest.raises(ZeroDivisionError):
        EngineThreads().submit(lambda: 1 / 0).result(60)
