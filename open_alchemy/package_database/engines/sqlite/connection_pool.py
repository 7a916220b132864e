"""Connection pools: one for a file, and one with a single connection for a store in memory.

*Interruptions.* An exception from a signal handler may end a call at any bytecode. What a call takes is released in a
``finally`` by a single C call, which a signal cannot interrupt, or is found by a weak reference to have ended with the
call's frame. Whatever needs a decision, such as an open transaction, is decided by the next call.

*Forks.* No connection survives a fork: file locks belong to a process, and SQLite's own record of them would be wrong
in the child. All connections are closed before a fork and opened again after it. If a call does not end in time, the
child refuses its store.

https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeAlias, TypeVar

from ...core.deadline import Deadline
from ...core.operations import Table
from ...exceptions import RefusedError, UnavailableError
from .. import fork
from ..signal_safe_lock import Claim, RecoveringLock
from .database_file import connect_to_file, connect_to_memory, prepare_file
from .fork_guard import Call, Calls

_MAX_IDLE: Final = 16

Identity: TypeAlias = tuple[int, int]
"""The device and the inode of a file, by which SQLite too records its locks."""
Result = TypeVar("Result")
Work: TypeAlias = Callable[[sqlite3.Connection], Result]


class ConnectionPool(Protocol):
    """Lends connections to calls."""

    def prepare(self, deadline: Deadline) -> None:
        """Opens the store, and creates its tables where it is new. May be called again after it raised.

        Raises:
            ConfigurationError: The file does not belong to the package.
            UnavailableError: Another thread was opening a file until the deadline.
            sqlite3.Error: The store cannot be opened, or another connection has it locked.
        """

    def use(self, work: Work[Result], deadline: Deadline) -> Result:
        """Calls ``work`` with a connection that is its alone, and returns its result.

        Raises:
            ConfigurationError: The file belongs to another program by now.
            RefusedError: The store was closed, or a new connection would be to another file.
            UnavailableError: No connection was free until the deadline.
            sqlite3.Error: No connection can be opened.
        """

    def check_identity(self) -> None:
        """Checks, before a write, that the store is still the one that was opened.

        Raises:
            RefusedError: Its file was moved, replaced or deleted.
        """

    def close(self) -> None:
        """Closes the connections; those in use are closed when their calls end."""


class FilePool:
    """The connections to a file: one for each call in progress, and some idle ones.

    Args:
        path: The path; a symbolic link is resolved when the file is opened.
        tables: The tables that a new file gets.
    """

    def __init__(self, path: Path, tables: Sequence[Table]) -> None:
        self._path = os.fspath(path)
        self._resolved = path
        self._tables = tables
        self._file: Identity | None = None
        self._is_closed = False
        self._calls = Calls()
        self._idle: list[sqlite3.Connection] = []
        weakref.finalize(self, _close_all, self._idle)
        fork.register(self)

    def prepare(self, deadline: Deadline) -> None:
        """Opens or creates the file, and stores its identity."""
        call = Call()
        claim: Claim = weakref.ref(call)
        resolved = os.path.realpath(self._path)
        opening = _opening.get(resolved) or _opening.setdefault(resolved, RecoveringLock())
        try:
            self._calls.begin(claim)
            try:
                if not opening.acquire(claim, deadline):
                    seconds = deadline.elapsed()
                    raise UnavailableError(
                        f"another thread was opening {self._path} for {seconds:.1f} s", seconds=seconds
                    )
                self._refuse_after_fork(self._identity())
                self._resolved = Path(resolved)
                prepare_file(self._resolved, self._tables)
                self._file = self._identity()
            finally:
                opening.release(claim, None)
        finally:
            self._calls.end(claim, None)

    def use(self, work: Work[Result], deadline: Deadline) -> Result:
        """Lends an idle connection, or a new one."""
        del deadline
        call = Call()
        claim: Claim = weakref.ref(call)
        try:
            self._calls.begin(claim)
            self._refuse_after_fork(self._file)
            connection = self._acquire()
            try:
                return work(connection)
            finally:
                self._idle.append(connection)
                if self._is_closed:
                    self.close()
        finally:
            self._calls.end(claim, None)

    def _acquire(self) -> sqlite3.Connection:
        while True:
            if self._is_closed:
                raise RefusedError("the database was closed", code="Closed")
            if len(self._idle) > _MAX_IDLE:
                self._idle.pop(0).close()
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if not connection.in_transaction:
                return connection
            # Of a call that was interrupted before it could roll back.
            connection.close()
        self.check_identity()
        return connect_to_file(self._resolved)

    def _refuse_after_fork(self, file: Identity | None) -> None:
        if file in _in_use_at_fork:
            raise _forked(self._path)

    def close(self) -> None:
        """Closes the idle connections, and lends none again."""
        self._is_closed = True
        self._close_idle()

    def before_fork(self, end: float) -> None:
        """Waits for the calls in progress, and closes the idle connections."""
        self._calls.wait(end)
        self._close_idle()

    def after_fork_in_child(self) -> None:
        """Refuses all calls on the file in the child of a fork in the middle of a call.

        A connection that was open during the fork stays open: closing it would release the parent's locks.
        """
        is_in_use = self._idle or self._calls.in_progress()
        self._calls.clear()
        _opening.clear()
        if is_in_use and (file := self._file or self._identity()):
            _in_use_at_fork.add(file)
            if self._idle is not _inherited:
                _inherited.extend(self._idle)
                self._idle.clear()
                self._idle = _inherited

    def _close_idle(self) -> None:
        if self._file not in _in_use_at_fork:
            _close_all(self._idle)

    def check_identity(self) -> None:
        """Refuses another file than the one that was opened: a write to a deleted file would be lost."""
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


class MemoryPool:
    """The one connection to a store in memory, which calls use in turn. The child of a fork has a copy of the store.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self._connection = connect_to_memory(tables)
        self._lock = RecoveringLock()
        self._calls = Calls()
        self._is_refused = False
        weakref.finalize(self, self._connection.close)
        fork.register(self)

    def prepare(self, deadline: Deadline) -> None:
        """The store is open already."""

    def use(self, work: Work[Result], deadline: Deadline) -> Result:
        """Lends the connection after the calls that came earlier."""
        call = Call()
        claim: Claim = weakref.ref(call)
        try:
            self._calls.begin(claim)
            if self._is_refused:
                raise _forked("the store in memory")
            try:
                if not self._lock.acquire(claim, deadline):
                    seconds = deadline.elapsed()
                    raise UnavailableError(f"the store in memory was in use for {seconds:.1f} s", seconds=seconds)
                if self._connection.in_transaction:
                    # Of a call that was interrupted before it could.
                    self._connection.execute("ROLLBACK")
                return work(self._connection)
            finally:
                self._lock.release(claim, None)
        finally:
            self._calls.end(claim, None)

    def check_identity(self) -> None:
        """Nothing can replace the store."""

    def close(self) -> None:
        """Keeps the store: it exists as long as anything refers to it."""

    def before_fork(self, end: float) -> None:
        """Waits for the calls in progress."""
        self._calls.wait(end)

    def after_fork_in_child(self) -> None:
        """Refuses all calls in the child of a fork in the middle of a call."""
        self._is_refused = self._is_refused or bool(self._calls.in_progress())
        self._calls.clear()


_memory: dict[str, MemoryPool] = {}


def process_memory(name: str, tables: Sequence[Table]) -> MemoryPool:
    """Returns the connection to the store in memory with this name, which exists once per process."""
    # If two threads create it, both get the first one.
    return _memory.get(name) or _memory.setdefault(name, MemoryPool(tables))


_opening: dict[str, RecoveringLock] = {}
"""Held, by the file's path, to open it for the first time: creating it closes it, which releases all locks on it."""
_in_use_at_fork: set[Identity | None] = set()
"""The files that calls used when this process was forked."""
_inherited: list[sqlite3.Connection] = []
"""The connections to these files, which must not be closed."""


def _close_all(connections: list[sqlite3.Connection]) -> None:
    with suppress(IndexError):  # Other threads take connections, too.
        while True:
            connections.pop().close()


def _forked(store: str) -> RefusedError:
    return RefusedError(
        f"the process was forked in the middle of a call on {store}, so this child cannot use it: "
        "start processes with spawn or forkserver, or fork while no call is in progress",
        code="Forked",
    )
