"""Exceptions from signal handlers inside a call: the next call works, and no lock, connection or call is left."""

from __future__ import annotations

import gc
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.engines.sqlite import connection_pool
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory, open_sqlite
from open_alchemy.package_database.model.schema import TABLES
from tests.interruption import InterruptionError, interrupted_at

ENGINES = Path(connection_pool.__file__).parents[1]
MAX_LINES = 5_000
OPENING_STEP = 29
"""Lines from one interruption to the next, where each requires a new file. A prime, which no loop's length divides."""
RANDOM_INTERRUPTIONS = 10_000


# The connection of a call that was interrupted before it could store it is closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(params=["file", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TDatabase]:
    path = tmp_path / "a.db"
    is_memory = request.param == "memory"
    engine = open_memory(SQLiteConfig(), TABLES) if is_memory else open_sqlite(SQLiteConfig(path), TABLES)
    with open_database(engine) as opened:
        publish(opened)
        yield opened


def publish(database: TDatabase) -> None:
    database.create_update_spec(sub="u1", name="a", version="1.0", model_count=1)


def read(database: TDatabase) -> None:
    database.list_specs(sub="u1")


def is_engine_code(frame: FrameType) -> bool:
    return Path(frame.f_code.co_filename).is_relative_to(ENGINES)


def calls_of(database: Any) -> list[Any]:
    found: list[Any] = database.engine._pool._calls.in_progress()
    return found


def call_interrupted(call: Callable[[], None], number: int) -> bool:
    """Returns whether the call was interrupted."""
    try:
        with interrupted_at(number, is_engine_code):
            call()
    except InterruptionError:
        return True
    return False


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("call", [publish, read])
def test_the_next_call_works_after_an_interruption_at_any_line(
    database: TDatabase, call: Callable[[TDatabase], None], step: int
) -> None:
    for number in range(1, MAX_LINES, step):
        if not call_interrupted(lambda: call(database), number):
            break
        assert calls_of(database) == [], f"line {number}"
        publish(database)
        assert [info["version"] for info in database.list_specs(sub="u1")] == ["1.0"]
    assert number > 50


@pytest.mark.parametrize("step", [OPENING_STEP, pytest.param(1, marks=pytest.mark.long)])
def test_a_file_is_opened_after_an_interruption_at_any_line(tmp_path: Path, step: int) -> None:
    for number in range(1, MAX_LINES, step):
        path = tmp_path / f"{number}.db"
        engine = open_sqlite(SQLiteConfig(path), TABLES)
        with open_database(engine) as opened:
            if not call_interrupted(engine.prepare, number):
                break
            assert calls_of(opened) == []
            publish(opened)
    assert number > 50


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_the_next_call_works_after_random_signals(database: TDatabase) -> None:
    draw = random.Random(1)  # noqa: S311 (a test)

    def interrupt(*_: object) -> None:
        raise InterruptionError

    def call_repeatedly() -> None:
        while True:
            publish(database)
            read(database)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(RANDOM_INTERRUPTIONS):
            with pytest.raises(InterruptionError):
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 2e-3))
                call_repeatedly()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert calls_of(database) == []
    thread = threading.Thread(target=publish, args=(database,))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
