"""Log records, spans and the attributes of errors of the SQLite engine."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConflictError, RefusedError, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Delete, Get, Transact
from open_alchemy.package_database.engines import telemetry
from open_alchemy.package_database.engines.async_adapter import ThreadedEngine
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine, open_sqlite
from open_alchemy.package_database.model.keys import latest_key
from open_alchemy.package_database.model.schema import SPECS, TABLES
from tests.canary import HASH, SALT, find
from tests.sqlite.earlier_file import change

READ = Get(SPECS, latest_key("u1", "a"))
WRITE = Transact((Delete(SPECS, latest_key("u1", "a")),))


class Clock:
    """A clock that moves when the engine sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def engine(path: Path) -> Iterator[SQLiteEngine]:
    with closing(open_sqlite(SQLiteConfig(path), TABLES)) as found:
        found.prepare()
        yield found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


@pytest.fixture
def other(path: Path, engine: SQLiteEngine) -> Iterator[sqlite3.Connection]:
    """Another connection that holds the write lock."""
    del engine
    with closing(sqlite3.connect(path, isolation_level=None)) as found:
        found.execute("BEGIN IMMEDIATE")
        yield found


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The exporter of the spans, with OpenTelemetry's SDK configured."""
    trace = pytest.importorskip("opentelemetry.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    exporter = memory.InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def records_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == telemetry.LOGGER]


@pytest.mark.parametrize(("operation", "what"), [(READ, "Get"), (WRITE, "Transact")])
def test_an_attempt_is_a_debug_record(
    engine: SQLiteEngine, caplog: pytest.LogCaptureFixture, clock: Clock, operation: Any, what: str
) -> None:
    caplog.set_level(logging.DEBUG, logger=telemetry.LOGGER)

    engine.execute(operation, Deadline(5, clock=clock.monotonic))

    expected = ("DEBUG", f"{what} on package.specs: attempt 1, ok, 0 ms, request id none")
    assert records_of(caplog) == [expected]


@pytest.mark.usefixtures("other")
def test_a_lock_that_is_not_released_is_one_warning_and_an_error_with_the_attempts(
    engine: SQLiteEngine, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level(logging.WARNING, logger=telemetry.LOGGER)

    with pytest.raises(UnavailableError, match=r"Transact on package\.specs waited 0\.5 s for the lock") as caught:
        engine.execute(WRITE, Deadline(0.5, clock=clock.monotonic))

    attempts = caught.value.attempts
    assert attempts > 5
    assert caught.value.code == "SQLITE_BUSY"
    assert caught.value.seconds == pytest.approx(0.5)
    warning = f"Transact on package.specs: attempt {attempts}, SQLITE_BUSY, 0 ms, request id none"
    assert records_of(caplog) == [("WARNING", warning)]
    assert pickle.loads(pickle.dumps(caught.value)).attempts == attempts  # noqa: S301 (a test)


def test_a_lock_that_is_released_in_time_is_no_problem(
    engine: SQLiteEngine,
    other: sqlite3.Connection,
    caplog: pytest.LogCaptureFixture,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG, logger=telemetry.LOGGER)
    monkeypatch.setattr(time, "sleep", lambda _: other.rollback())

    engine.execute(WRITE, Deadline(5, clock=clock.monotonic))

    assert records_of(caplog) == [
        ("DEBUG", "Transact on package.specs: attempt 1, SQLITE_BUSY, 0 ms, request id none"),
        ("DEBUG", "Transact on package.specs: attempt 2, ok, 0 ms, request id none"),
    ]


def test_a_refusal_is_a_warning_and_a_duplicate_key_is_none(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with package_database.connect(f"sqlite:///{path}") as database:
        database.create_update_credentials(sub="u1", id_="1", public_key="pk", secret_key_hash=HASH, salt=SALT)
        with pytest.raises(ConflictError):
            database.create_update_credentials(sub="u2", id_="1", public_key="pk", secret_key_hash=HASH, salt=SALT)
        change(path, ['DROP TABLE "package.specs"'])

        with pytest.raises(RefusedError) as caught:
            database.list_specs(sub="u1")

    ((level, message),) = records_of(caplog)
    assert level == "WARNING"
    assert message.startswith("Query on package.specs: attempt 1, SQLITE_ERROR, ")
    assert (caught.value.code, caught.value.attempts) == ("SQLITE_ERROR", 1)
    assert caught.value.seconds > 0
    assert find(caplog.text) == []


def test_an_operation_is_a_span_with_the_attributes_of_the_conventions(spans: Any, engine: SQLiteEngine) -> None:
    engine.execute(READ, Deadline(5))
    engine.execute(WRITE, Deadline(5))

    read, write = spans.get_finished_spans()
    assert (read.name, read.kind.name, read.status.is_unset) == ("Get package.specs", "CLIENT", True)
    assert read.attributes["db.query.text"].startswith('SELECT item."sub", ')
    assert "u1" not in str(read.attributes)
    assert write.attributes == {
        "db.system.name": "sqlite",
        "db.operation.name": "Transact",
        "db.collection.name": "package.specs",
    }


@pytest.mark.usefixtures("other", "clock")
def test_the_span_of_a_refused_operation_has_the_error(spans: Any, engine: SQLiteEngine, clock: Clock) -> None:
    with pytest.raises(UnavailableError):
        engine.execute(WRITE, Deadline(0.5, clock=clock.monotonic))

    (span,) = spans.get_finished_spans()
    assert span.status.status_code.name == "ERROR"
    assert span.attributes["error.type"] == span.attributes["db.response.status_code"] == "SQLITE_BUSY"
    assert "http.request.resend_count" not in span.attributes


def test_the_span_of_the_caller_is_the_parent_of_an_operation_in_a_thread(spans: Any, path: Path) -> None:
    from opentelemetry import trace

    async def call() -> None:
        engine = ThreadedEngine(open_sqlite(SQLiteConfig(path), TABLES))
        with trace.get_tracer("test").start_as_current_span("caller"):
            await engine.execute(READ, Deadline(5))
        await engine.aclose()

    asyncio.run(call())

    child, caller = spans.get_finished_spans()
    assert (child.name, child.parent) == ("Get package.specs", caller.context)


def test_a_call_that_succeeds_imports_neither_logging_nor_opentelemetry() -> None:
    code = (
        "import sys\n"
        "from open_alchemy import package_database\n"
        "with package_database.connect('sqlite://') as database:\n"
        "    database.create_update_spec(sub='u1', name='a', version='1', model_count=1)\n"
        "    database.get_spec(sub='u1', name='a')\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'logging', 'opentelemetry'}))\n"
    )

    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert finished.stdout == "[]\n"
