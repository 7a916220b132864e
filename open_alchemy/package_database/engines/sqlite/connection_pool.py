"""Who may use which connection: a pool for a file, one connection in turn for a store in memory; and what a fork does.

A connection is never carried over a fork: locks of files belong to a process, and SQLite's own book of them would be
wrong in the child, also for a connection that it opens itself. So all are closed before a fork, and opened anew after.
A call that does not end in time keeps its connection open: then the child refuses that store.

https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from ...core.deadline import Deadline
from ...exceptions import RefusedError, UnavailableError
from .database_file import connect_to_file, connect_to_memory, prepare_file

_MOST_IDLE: Final = 16
_LONGEST_PAUSE: Final = 1.0
"""Seconds that a fork waits for calls to end, on all stores together."""
_FORKED: Final = (
    "the process forked in the middle of a call on {}, and this child cannot use what was open then: "
    "start processes with spawn or forkserver, or fork while no call is at work"
)

Identity: TypeAlias = tuple[int, int]
"""Which file it is: its device and its inode, by which SQLite too keeps its book of locks."""


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
            ConfigurationError: The file belongs to something else by now.
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
        self._file: Identity | None = None
        self._is_closed = False
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._is_paused = False
        self._unlock()
        weakref.finalize(self, _close_all, self._idle)
        _add(self)

    def _unlock(self) -> None:
        # In C, and entered for every call; the condition is for a pause alone.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def prepare(self) -> None:
        """Opens or makes the file, and remembers which one it is."""
        with self._lock:
            self._begin()
        try:
            with _opening:
                self._refuse_carried(self._identity())
                prepare_file(Path(self._path))
                self._file = self._identity()
        finally:
            self.give_back(None)

    def borrow(self, deadline: Deadline) -> sqlite3.Connection:
        """Lends an idle connection, or a new one."""
        del deadline
        with self._lock:
            if self._is_closed:
                raise RefusedError("the database was closed", code="Closed")
            self._begin()
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            return connection
        try:
            self.check()
            return connect_to_file(Path(self._path))
        except BaseException:
            self.give_back(None)
            raise

    def _begin(self) -> None:
        """Lets a fork wait for the caller from now on, until it gives something back; the lock is held."""
        while self._is_paused:
            self._changed.wait()
        self._refuse_carried(self._file)
        self._lent += 1

    def _refuse_carried(self, file: Identity | None) -> None:
        if file in _carried:
            raise RefusedError(_FORKED.format(self._path), code="Forked")

    def give_back(self, connection: sqlite3.Connection | None) -> None:
        """Keeps a connection for the next, or closes it; None where it came to none."""
        with self._lock:
            if self._file in _carried:
                # Of a call that a signal interrupted to fork: closing it here would undo what the parent relies on.
                _carried[self._file].append(connection)
                return
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

    def pause(self, end: float) -> None:
        """Closes all connections before a fork, and lends none until it is over.

        Args:
            end: When it stops to wait for calls, on the monotonic clock.
        """
        with self._lock:
            self._is_paused = True
            self._changed.wait_for(lambda: not self._lent, max(0.0, end - time.monotonic()))
            _close_all(self._idle)

    def resume(self) -> None:
        """Lends again."""
        with self._lock:
            self._is_paused = False
            self._changed.notify_all()

    def start_anew(self) -> None:
        """Lends again in the child of a fork; nothing that another thread of the parent had in use at that moment."""
        if self._lent and (file := self._file or self._identity()):
            _carried[file] = []
        self._lent = 0
        self._is_paused = False
        self._unlock()

    def check(self) -> None:
        """Refuses another file than the one that was opened: a write to one that was deleted would be lost."""
        if self._identity() != self._file:
            raise RefusedError(
                f"{self._path} was moved, replaced or deleted while it was open: restart the process, or open it again",
                code="SQLITE_READONLY_DBMOVED",
            )

    def _identity(self) -> Identity | None:
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
        self._is_paused = False
        self._is_carried = False
        weakref.finalize(self, self._connection.close)
        _add(self)

    def prepare(self) -> None:
        """Nothing to open."""

    def borrow(self, deadline: Deadline) -> sqlite3.Connection:
        """Lends the connection when the others have given it back."""
        if self._is_carried:
            raise RefusedError(_FORKED.format("the store in memory"), code="Forked")
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

    def pause(self, end: float) -> None:
        """Waits until nobody uses the connection, before a fork.

        Args:
            end: When it stops to wait, on the monotonic clock.
        """
        self._is_paused = self._turn.acquire(timeout=max(0.0, end - time.monotonic()))

    def resume(self) -> None:
        """Lends again."""
        if self._is_paused:
            self._turn.release()
        self._is_paused = False

    def start_anew(self) -> None:
        """Lends again in the child of a fork, unless a call was in the middle of something."""
        self._is_carried = self._is_carried or not self._is_paused
        self.resume()


_memory: dict[str, MemoryConnections] = {}


def process_memory(name: str) -> MemoryConnections:
    """Returns the connection to the database in memory with this name, which exists once per process."""
    with _adding:
        if name not in _memory:
            _memory[name] = MemoryConnections()
        return _memory[name]


def _close_all(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()


_all: weakref.WeakSet[FileConnections | MemoryConnections] = weakref.WeakSet()
_adding = threading.RLock()
"""Held to change or to copy ``_all``, and over a fork."""
_opening = threading.Lock()
"""Held by whoever makes or opens a file for the first time, so by nobody else in this process."""
_paused: list[FileConnections | MemoryConnections] = []
_carried: dict[Identity | None, list[sqlite3.Connection | None]] = {}
"""The files that were in use when this process was forked, with what came back of their connections."""


def _add(connections: FileConnections | MemoryConnections) -> None:
    with _adding:
        _all.add(connections)


def _pause_all() -> None:
    _adding.acquire()
    _paused[:] = _all
    end = time.monotonic() + _LONGEST_PAUSE
    for connections in _paused:
        connections.pause(end)


def _resume_all() -> None:
    while _paused:
        _paused.pop().resume()
    _adding.release()


def _start_all_anew() -> None:
    global _adding, _opening
    while _paused:
        _paused.pop().start_anew()
    _adding, _opening = threading.RLock(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause_all, after_in_parent=_resume_all, after_in_child=_start_all_anew)
