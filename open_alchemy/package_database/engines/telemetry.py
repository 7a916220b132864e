"""Logging and tracing of the requests to a store, for every engine.

Neither ``logging`` nor OpenTelemetry is imported for a request that succeeds: where the application has not imported
them, nobody has configured a handler or a tracer. Log records and spans contain names, codes and times, never a value.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from logging import Logger
    from types import TracebackType
    from typing import Self

LOGGER: Final = "open_alchemy.package_database"
_DEBUG: Final = 10


class Request:
    """One request to a store, with its attempts: a context manager that logs each attempt and ends the span.

    Args:
        system: OpenTelemetry's ``db.system.name``, such as ``sqlite``.
        operation: The operation, such as ``GetItem``.
        collection: The table, or the tables, separated by ", ".
        aws_service: The AWS service, whose conventions extend those of databases.
        attributes: Further attributes of the span, such as ``db.query.text``.

    https://opentelemetry.io/docs/specs/semconv/database/database-spans/
    https://opentelemetry.io/docs/specs/semconv/database/dynamodb/
    """

    __slots__ = ("_collection", "_is_http", "_operation", "_span")

    def __init__(
        self,
        system: str,
        operation: str,
        collection: str,
        *,
        aws_service: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._operation = operation
        self._collection = collection
        self._is_http = aws_service is not None
        trace = sys.modules.get("opentelemetry.trace")
        self._span: Any = None if trace is None else self._start(trace, system, aws_service, attributes or {})

    def _start(self, trace: Any, system: str, aws_service: str | None, attributes: Mapping[str, Any]) -> Any:
        operation, collection = self._operation, self._collection
        known: dict[str, Any] = {
            "db.system.name": system,
            "db.operation.name": operation,
            "db.collection.name": collection,
            **attributes,
        }
        if aws_service is not None:
            known |= {"rpc.system": "aws-api", "rpc.service": aws_service, "rpc.method": operation}
            known["aws.dynamodb.table_names"] = collection.split(", ")
        name = f"{operation} {collection}" if aws_service is None else f"{aws_service}.{operation}"
        return trace.get_tracer(LOGGER).start_span(name, kind=trace.SpanKind.CLIENT, attributes=known)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        span = self._span
        if span is None:
            return
        if isinstance(error, Exception):
            code = getattr(error, "code", "") or type(error).__name__
            span.set_attribute("error.type", code)
            if getattr(error, "code", ""):
                span.set_attribute("db.response.status_code", code)
            trace = sys.modules["opentelemetry.trace"]
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
        span.end()

    def attempt(
        self,
        number: int,
        seconds: float,
        *,
        code: str | None = None,
        request_id: str | None = None,
        is_problem: bool = False,
    ) -> None:
        """Logs an attempt at DEBUG, and at WARNING too if it is a problem.

        Args:
            number: The number of the attempt, from 1.
            seconds: How long it took.
            code: The error code; None if it succeeded.
            request_id: The server's id of the request.
            is_problem: Whether the attempt failed for another reason than a condition or another transaction.
        """
        if self._span is not None:
            if request_id is not None:
                self._span.set_attribute("aws.request_id", request_id)
            if number > 1 and self._is_http:
                self._span.set_attribute("http.request.resend_count", number - 1)
        if is_debug():
            self._log(logger().debug, number, seconds, code, request_id)
        if is_problem:
            self._log(logger().warning, number, seconds, code, request_id)

    def _log(self, write: Any, number: int, seconds: float, code: str | None, request_id: str | None) -> None:
        write(
            "%s on %s: attempt %d, %s, %d ms, request id %s",
            self._operation,
            self._collection,
            number,
            code or "ok",
            round(seconds * 1000),
            request_id or "none",
        )


def debug(message: str, *arguments: object) -> None:
    """Logs a message at DEBUG."""
    if is_debug():
        logger().debug(message, *arguments)


def is_active() -> bool:
    """Returns whether requests that succeed are logged or traced."""
    return is_traced() or is_debug()


def is_traced() -> bool:
    """Returns whether the application has imported OpenTelemetry."""
    return "opentelemetry.trace" in sys.modules


def is_debug() -> bool:
    """Returns whether records of level DEBUG are logged."""
    return "logging" in sys.modules and logger().isEnabledFor(_DEBUG)


@cache
def logger() -> Logger:
    """Returns the package's logger. It writes nothing if the application configures no handler."""
    import logging

    made = logging.getLogger(LOGGER)
    made.addHandler(logging.NullHandler())
    return made
