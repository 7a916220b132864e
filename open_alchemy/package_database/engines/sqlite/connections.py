"""Who may use which connection: a pool for a file, one connection in turn for a store in memory; and what a fork does.

A connection is never carried over a fork: locks of files belong to a process, and SQLite's own book of them would be
wrong in the child, also for a connection that it opens itself. So all are closed before a fork, and opened anew after.

https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import Final, Protocol

from ...deadline import Deadline
from ...exceptions import RefusedError, UnavailableError
from .file import PREPARING, connect_to_file, connect_to_memory, prepare_file

_MOST_IDLE: Final = 16
_LONGEST_PAUSE: Final = 1.0
"""Seconds that a fork waits for calls in other threads to end."""


class Connections(Protocol):
    """Lends connections."""

    def prepare(self) -> None:
        """Opens the store, and makes its tables where it is new. May be called again when it has raised.

        Raises:
            ConfigurationError: The file is none of the package's.
            sqlite3.Error: The store cannot be opened, or another connection is in the way.
        """

    def borrow(self, deadline: Deadline) -> sqlite3.Connection:
        """Lends a connection, which is the caller's alone until it is given back.

        Raises:
            RefusedError: The store was closed, or a new connection would be to another file.
            UnavailableError: None was free until the deadline.
            sqlite3.Error: None can be opened.
        """

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Takes a connection back."""

    def check(self) -> None:
        """Checks, before a write, that the store is still what was opened.

        Raises:
            RefusedError: Its file was moved, replaced or deleted.
        """

    def close(self) -> None:
        """Closes what can be opened again; what is lent is closed when it comes back."""


class FileConnections:
    """The connections to a file: as many as are in use at once, and some that wait to be."""

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)
        self._file: tuple[int, int] | None = None
        self._is_closed = False
        self.start_anew()
        weakref.finalize(self, _close_all, self._idle)
        _ALL.add(self)

    def start_anew(self) -> None:
        """Forgets what was lent to threads that a fork has ended. Nothing is idle then."""
        self._idle: list[sqlite3.Connection] = getattr(self, "_idle", [])
        self._lent = 0
        self._is_paused = False
        # In C, and entered for every call; the condition is for a pause alone.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def prepare(self) -> None:
        """Opens or makes the file, and remembers which one it is."""
        prepare_file(Path(self._path))
        self._file = self._identity()

    def borrow(self, deadline: Deadline) -> sqlite3.Connection:
        """Lends an idle connection, or a new one."""
        del deadline
        with self._lock:
            while self._is_paused:
                self._changed.wait()
            if self._is_closed:
                raise RefusedError("the database was closed", code="Closed")
            self._lent += 1
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            return connection
        try:
            self.check()
            return connect_to_file(Path(self._path))
        except BaseException:
            self.give_back(None)
            raise

    def give_back(self, connection: sqlite3.Connection | None) -> None:
        """Keeps a connection for the next, or closes it; None where it came to none."""
        with self._lock:
            self._lent -= 1
            if connection is not None:
                # One that could not undo its transaction is of no use.
                if self._is_closed or connection.in_transaction or len(self._idle) == _MOST_IDLE:
                    connection.close()
                else:
                    self._idle.append(connection)
            if self._is_paused:
                self._changed.notify_all()

    def close(self) -> None:
        """Closes the idle connections, and lends none again."""
        with self._lock:
            self._is_closed = True
            _close_all(self._idle)

    def pause(self) -> None:
        """Closes all connections before a fork, and lends none until it is over."""
        with self._lock:
            self._is_paused = True
            self._changed.wait_for(lambda: not self._lent, _LONGEST_PAUSE)
            _close_all(self._idle)

    def resume(self) -> None:
        """Lends again."""
        with self._lock:
            self._is_paused = False
            self._changed.notify_all()

    def check(self) -> None:
        """Refuses another file than the one that was opened: a write to one that was deleted would be lost."""
        if self._identity() != self._file:
            raise RefusedError(
                f"{self._path} was moved, replaced or deleted while it was open: open the database again",
                code="SQLITE_READONLY_DBMOVED",
            )

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 (for every write, and twice as fast)
        except OSError:
            return None
        return found.st_dev, found.st_ino


class MemoryConnections:
    """The one connection to a store in memory, lent in turn. A child has a copy of the store, as of all memory."""

    def __init__(self) -> None:
        self._connection = connect_to_memory()
        self._turn = threading.Lock()
        weakref.finalize(self, self._connection.close)
        _ALL.add(self)

    def prepare(self) -> None:
        """Nothing to open."""

    def borrow(self, deadline: Deadline) -> sqlite3.Connection:
        """Lends the connection when the others have given it back."""
        if not self._turn.acquire(timeout=max(0.0, deadline.remaining())):
            raise UnavailableError(f"the store in memory was in use for {deadline.elapsed():.1f} s")
        return self._connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Lets the next one have it."""
        del connection
        self._turn.release()

    def check(self) -> None:
        """Nothing can come in its place."""

    def close(self) -> None:
        """Leaves the store, for it lives as long as anything refers to it."""

    def pause(self) -> None:
        """Waits until nobody uses the connection, before a fork."""
        self._turn.acquire()

    def resume(self) -> None:
        """Lends again."""
        self._turn.release()

    start_anew = resume


def _close_all(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()


_ALL: weakref.WeakSet[FileConnections | MemoryConnections] = weakref.WeakSet()
_paused: list[FileConnections | MemoryConnections] = []


def _pause_all() -> None:
    PREPARING.acquire()
    _paused[:] = _ALL
    for connections in _paused:
        connections.pause()


def _resume_all() -> None:
    while _paused:
        _paused.pop().resume()
    PREPARING.release()


def _start_all_anew() -> None:
    while _paused:
        _paused.pop().start_anew()
    PREPARING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause_all, after_in_parent=_resume_all, after_in_child=_start_all_anew)
