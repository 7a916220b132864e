"""Log records and spans of requests."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from open_alchemy.package_database import RefusedError, UnavailableError
from open_alchemy.package_database.engines import telemetry
from open_alchemy.package_database.engines.dynamodb.retry import Failure
from tests.canned_server import serve, succeed
from tests.unit.test_protocol import CONFLICT, GET, THROTTLED, TIMEOUT, TRANSACT, Server

RESPONSE = {"ResponseMetadata": {"RequestId": "R2"}}


def test_each_attempt_is_a_debug_record_and_each_problem_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=telemetry.LOGGER)

    Server([THROTTLED, TIMEOUT, RESPONSE], seconds=0.012).execute(GET, deadline=60)

    what = "GetItem on package.credentials"
    first = f"{what}: attempt 1, ThrottlingException, 12 ms, request id R1"
    second = f"{what}: attempt 2, ReadTimeoutError, 12 ms, request id none"
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("DEBUG", first),
        ("WARNING", first),
        ("DEBUG", second),
        ("WARNING", second),
        ("DEBUG", f"{what}: attempt 3, ok, 12 ms, request id R2"),
    ]


def test_a_conflict_and_a_failed_condition_are_not_warnings(caplog: pytest.LogCaptureFixture) -> None:
    failed = Failure("TransactionCanceledException", reasons=({"Code": "ConditionalCheckFailed"},))

    Server([CONFLICT, failed]).execute(TRANSACT)

    assert caplog.records == []


def test_without_handlers_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "from open_alchemy.package_database.engines import telemetry\n"
        "with telemetry.Request('sqlite', 'Get', 'specs') as request:\n"
        "    request.attempt(1, 0.1, code='SQLITE_BUSY', is_problem=True)\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)

    assert capfd.readouterr() == ("", "")


def test_a_request_that_succeeds_imports_neither_logging_nor_opentelemetry() -> None:
    code = (
        "import sys\n"
        "from open_alchemy import package_database\n"
        "with package_database.connect(sys.argv[1]) as database:\n"
        "    database.get_spec(sub='u1', name='a')\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'logging', 'opentelemetry', 'msgspec'}))\n"
    )
    with serve(succeed({})) as server:
        url = server.url.replace("http://", "dynamodb://")
        finished = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)

    assert finished.stdout == "[]\n"


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


def test_a_request_is_a_span_with_the_attributes_of_the_conventions(spans: Any) -> None:
    Server([THROTTLED, RESPONSE]).execute(GET, deadline=60)

    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind.name, span.status.is_unset) == ("DynamoDB.GetItem", "CLIENT", True)
    assert span.attributes == {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "GetItem",
        "db.collection.name": "package.credentials",
        "rpc.system": "aws-api",
        "rpc.service": "DynamoDB",
        "rpc.method": "GetItem",
        "aws.dynamodb.table_names": ("package.credentials",),
        "aws.request_id": "R2",
        "http.request.resend_count": 1,
    }


@pytest.mark.parametrize(
    ("failure", "error"),
    [(Failure("AccessDeniedException", status=400), RefusedError), (TIMEOUT, UnavailableError)],
)
def test_the_span_of_a_failed_request_has_the_error(spans: Any, failure: Failure, error: type[Exception]) -> None:
    with pytest.raises(error):
        Server([failure]).execute(GET)

    (span,) = spans.get_finished_spans()
    assert (span.status.status_code.name, span.status.description) == ("ERROR", error.__name__)
    assert span.attributes["error.type"] == span.attributes["db.response.status_code"] == failure.code
    assert span.events == ()


def test_a_sql_engine_is_traced_with_its_statement(spans: Any) -> None:
    with telemetry.Request("sqlite", "SELECT", "package.specs", attributes={"db.query.text": "SELECT 1"}):
        pass

    (span,) = spans.get_finished_spans()
    assert span.name == "SELECT package.specs"
    assert span.attributes["db.query.text"] == "SELECT 1"


def test_a_request_that_is_cancelled_is_not_an_error(spans: Any) -> None:
    def steps() -> Iterator[None]:
        with telemetry.Request("sqlite", "SELECT", "package.specs"):
            yield

    running = steps()
    next(running)
    del running

    (span,) = spans.get_finished_spans()
    assert span.status.is_unset
