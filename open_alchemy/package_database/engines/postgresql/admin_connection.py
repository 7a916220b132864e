"""A connection of an operator's command to one server. Its statements have no deadline: a copy may take hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from ...exceptions import RefusedError
from ..sql.statements import Row, Statement
from .connection import OPTIONS
from .shard_map_file import Server

_LOCK_WAIT: Final = "2s"
"""Shorter than the deadline of a call that waits for the same lock after the command."""


class AdminConnection:
    """A connection in autocommit mode. A broken one ends its transaction: the server rolls it back.

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self.name = server.name
        self._connection = psycopg.Connection.connect(server.conninfo, **OPTIONS)

    def execute(self, text: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> list[Row]:
        """Executes a statement, or several without parameters, and returns the rows of the last."""
        cursor = self._connection.execute(text.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def execute_all(self, statements: Sequence[Statement]) -> list[int]:
        """Executes statements together, and returns the number of rows that each affected."""
        with self._connection.pipeline():
            cursors = [self._connection.execute(text.encode(), parameters) for text, parameters in statements]
        return [cursor.rowcount for cursor in cursors]

    def copy_from(self, source: AdminConnection, read: str, write: str, advance: Callable[[int], None]) -> None:
        """Copies what one COPY statement reads from another server to what one writes here."""
        with (
            source._connection.cursor().copy(read.encode()) as rows,
            self._connection.cursor().copy(write.encode()) as target,
        ):
            for row in rows:
                target.write(row)
                advance(1)

    def begin(self, number: int) -> None:
        """Sets what the statements rely on, and takes an advisory lock until the end of the session.

        Raises:
            RefusedError: Another session has it.
        """
        self.execute(f"SET lock_timeout = '{_LOCK_WAIT}'; SET TimeZone = 'UTC'; SET search_path = pg_catalog")
        try:
            self.execute("SELECT pg_advisory_lock(7230116, %s)", (number,))
        except psycopg.errors.LockNotAvailable:
            raise RefusedError(f"another command moves a shard from or to {self.name}", code="MoveRunning") from None

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@contextmanager
def opened(server: Server, lock: int) -> Iterator[AdminConnection]:
    """Opens a session that holds an advisory lock."""
    session = AdminConnection(server)
    try:
        session.begin(lock)
        yield session
    finally:
        session.close()
