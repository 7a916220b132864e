"""Cursors of connections that callers use themselves: rows by name, and logged statements. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from .statement_log import log_statement


class NamedRow(tuple[Any, ...]):  # noqa: SLOT001 (a tuple cannot have them)
    """A row whose values are found by position or by the name of the column; ``dict(row)`` works."""

    _names: Sequence[str]

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self._names.index(key) if isinstance(key, str) else key)

    def keys(self) -> Sequence[str]:
        """Returns the names of the columns."""
        return self._names


Connection: TypeAlias = psycopg.Connection[NamedRow]
Cursor: TypeAlias = psycopg.Cursor[NamedRow]
AsyncConnection: TypeAlias = psycopg.AsyncConnection[NamedRow]
AsyncCursor: TypeAlias = psycopg.AsyncCursor[NamedRow]


def named_row(cursor: Any) -> Callable[[Sequence[Any]], NamedRow]:
    """Makes the rows of a cursor: a row factory of psycopg."""
    names = tuple(column.name for column in cursor.description or ())

    def make(values: Sequence[Any]) -> NamedRow:
        row = NamedRow(values)
        row._names = names  # noqa: SLF001 (its factory)
        return row

    return make


def _logged(name: str) -> Any:
    """Returns a method that logs the statement which psycopg's method of this name executes."""

    def method(self: Any, query: Any, *args: Any, **options: Any) -> Generator[Any, Any, Any]:
        started = time.perf_counter()
        try:
            return (yield from getattr(super(_Logged, self), name)(query, *args, **options))
        finally:
            log_statement(self.connection.logger, statement_text(query), time.perf_counter() - started)

    return method


class _Logged:
    """Logs the statements of a cursor. psycopg's generators are the same for both APIs."""

    _execute_gen = _logged("_execute_gen")
    _executemany_gen_pipeline = _logged("_executemany_gen_pipeline")
    _executemany_gen_no_pipeline = _logged("_executemany_gen_no_pipeline")
    _stream_send_gen = _logged("_stream_send_gen")
    _start_copy_gen = _logged("_start_copy_gen")
    _declare_gen = _logged("_declare_gen")


class LoggedCursor(_Logged, psycopg.Cursor[Any]):
    """A cursor for threads."""


class LoggedServerCursor(_Logged, psycopg.ServerCursor[Any]):
    """A server-side cursor for threads."""


class LoggedAsyncCursor(_Logged, psycopg.AsyncCursor[Any]):
    """A cursor for an event loop."""


class LoggedAsyncServerCursor(_Logged, psycopg.AsyncServerCursor[Any]):
    """A server-side cursor for an event loop."""


def statement_text(query: Any) -> str:
    """Returns the text of a statement, with a placeholder for each literal that was composed into it."""
    match query:
        case str():
            return query
        case bytes():
            return query.decode(errors="replace")
        case sql.Composed():
            return "".join(map(statement_text, query))
        case sql.SQL() | sql.Identifier() | sql.Placeholder():
            return query.as_string(None)
        case _ if hasattr(query, "strings"):  # A template string of Python 3.14.
            return "%s".join(query.strings)
        case _:
            return "%s"
