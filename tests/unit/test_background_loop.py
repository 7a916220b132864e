"""The background loop: shared by its runners, ended with the last one, and usable after forks and interruptions."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from types import FrameType

import pytest

from open_alchemy.package_database import RefusedError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Get
from open_alchemy.package_database.engines import background_loop
from open_alchemy.package_database.engines.background_loop import LoopRunner
from open_alchemy.package_database.engines.sync_adapter import BlockingEngine
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine
from tests.interruption import InterruptionError, interrupted_at

MAX_LINES = 200


def is_of_the_loop(frame: FrameType) -> bool:
    return frame.f_code.co_filename == background_loop.__file__


async def thread() -> threading.Thread:
    return threading.current_thread()


async def fail(error: BaseException) -> None:
    raise error


@pytest.fixture
def runner() -> Iterator[LoopRunner]:
    runner = LoopRunner()
    yield runner
    runner.close()


@pytest.fixture(autouse=True)
def _loop_ends() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "package-database loop":
            thread.join(10)
            assert not thread.is_alive()


def test_runners_share_a_loop_until_the_last_is_closed(runner: LoopRunner) -> None:
    other = LoopRunner()
    first = runner.run(thread())
    assert other.run(thread()) is first
    runner.close()
    assert other.run(thread()) is first
    other.close()
    first.join(10)
    assert not first.is_alive()


def test_a_runner_after_the_last_starts_another_loop(runner: LoopRunner) -> None:
    first = runner.run(thread())
    runner.close()
    first.join(10)
    other = LoopRunner()
    assert other.run(thread()) is not first
    other.close()


def test_the_loop_ends_when_its_runners_were_collected() -> None:
    started = LoopRunner().run(thread())
    started.join(10)
    assert not started.is_alive()


@pytest.mark.parametrize("error", [ValueError("a"), TimeoutError("b")])
def test_the_error_of_a_coroutine_is_raised(runner: LoopRunner, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        runner.run(fail(error))


def test_a_coroutine_runs_in_the_context_of_its_caller(runner: LoopRunner) -> None:
    variable: ContextVar[str] = ContextVar("variable")

    async def value() -> str:
        return variable.get()

    variable.set("of the caller")
    assert runner.run(value()) == "of the caller"


def test_a_closed_runner_refuses_calls(runner: LoopRunner) -> None:
    runner.close()
    with pytest.raises(RefusedError, match="was closed"):
        runner.run(thread())


def test_a_call_in_progress_fails_when_the_loop_ends(runner: LoopRunner) -> None:
    is_running = threading.Event()
    errors: list[BaseException] = []

    async def wait() -> None:
        is_running.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            runner.run(wait())
        except RefusedError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert is_running.wait(10)
    runner.close()
    caller.join(10)
    assert [str(error) for error in errors] == ["the database was closed"]


def test_a_blocking_call_in_the_loop_is_refused(runner: LoopRunner) -> None:
    async def call() -> None:
        runner.run(thread())

    with pytest.raises(RuntimeError, match="blocking function"):
        runner.run(call())


def test_an_interrupted_call_is_cancelled(runner: LoopRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def interrupt(_: object) -> None:
        runner.run(thread())  # The coroutine has started.
        raise InterruptionError

    with monkeypatch.context() as patch:
        original = runner._wait
        patch.setattr(runner, "_wait", lambda future: interrupt(patch.setattr(runner, "_wait", original)))
        with pytest.raises(InterruptionError):
            runner.run(wait())
    assert cancelled.wait(10)


# An interrupted call may leave a coroutine that was not awaited.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_next_call_works_after_an_interruption_at_any_line() -> None:
    for number in range(1, MAX_LINES):
        runner = LoopRunner()
        is_interrupted = True
        with suppress(InterruptionError), interrupted_at(number, is_of_the_loop):
            runner.run(thread())
            is_interrupted = False
        started = runner.run(thread())
        runner.close()
        started.join(10)
        assert not started.is_alive(), f"line {number}"
        if not is_interrupted:
            break
    gc.collect()
    assert 10 < number < MAX_LINES - 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_has_a_loop_of_its_own(runner: LoopRunner) -> None:
    started = runner.run(thread())
    child = os.fork()
    if child == 0:
        os._exit(0 if runner.run(thread()) is not started else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert runner.run(thread()) is started


def test_an_engine_executes_operations_of_an_async_engine() -> None:
    engine = BlockingEngine(AsyncMemoryEngine(), MemoryEngine().administration)
    get = Get(SPECS, {"sub": "u", "updated_at_id": "latest#a"})
    engine.prepare()
    assert engine.execute(get, Deadline(5)) is None
    engine.close()
    engine.close()
    with pytest.raises(RefusedError, match="was closed"):
        engine.execute(get, Deadline(5))
