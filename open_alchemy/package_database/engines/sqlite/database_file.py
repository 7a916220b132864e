"""Opens and creates the file of a database, and checks that it belongs to the package.

The file contains the package's ``application_id``, and the version of its schema as ``user_version``. The id is written
first, alone in one page, so that every later state of the file contains it, at whatever instant a process is killed or
the disk is full. SQLite opens and recovers a file with the id. A file without the id is refused untouched, unless it is
empty.

The id is read with ``immutable=1``, which takes no lock and writes nothing. This ignores the write-ahead log, so the
file may be shorter than its header says: ``writable_schema`` turns that check off.

https://www.sqlite.org/fileformat2.html#the_database_header
https://www.sqlite.org/uri.html#uriimmutable
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from ...core.operations import Table
from ...exceptions import ConfigurationError
from .errors import is_unreadable
from .schema import SCHEMA_VERSION, create_tables, transaction, upgrade_tables

APPLICATION_ID: Final = 0x4F415044
"""The letters OAPD."""

_CACHED_STATEMENTS: Final = 64


class _Header(NamedTuple):
    """The header of a file.

    Attributes:
        application_id: The program that the file belongs to; 0 where it does not say.
        version: The version of its schema.
        is_empty: Whether it has neither a version nor tables.
    """

    application_id: int
    version: int
    is_empty: bool

    @property
    def is_new(self) -> bool:
        """Whether the tables of the package are still to be created."""
        return self.is_empty and self.application_id in (0, APPLICATION_ID)


def prepare_file(path: Path, tables: Sequence[Table]) -> None:
    """Creates a missing or empty file with its tables, or upgrades the tables of a file of the package.

    Any number of processes may do this at once, and one thread of each.

    Args:
        path: The path, without symbolic links: the journal and the log are next to it.
        tables: The tables.

    Raises:
        ConfigurationError: The file belongs to another program, or to a newer version of the package; it is untouched.
        sqlite3.Error: The file cannot be opened, or another connection has it locked.
    """
    _check_owner(path)
    _create_empty(path)
    with closing(_connect(path, "rw")) as connection:
        # Opening has recovered the file: only now the header is final.
        _claim(connection)
        if _header(connection).is_new:
            with transaction(connection):
                if _header(connection).is_new:
                    create_tables(connection, tables)
        _check(_header(connection), path)
        upgrade_tables(connection, tables)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ConfigurationError(
                f"{path} cannot be used: this file system has no shared memory for SQLite's WAL mode"
            )


def connect_to_file(path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """Returns a connection to a file that is prepared; raises what ``prepare_file`` does.

    Every transaction that is committed is on the disk: in WAL mode, ``synchronous = FULL`` syncs the log at each commit
    (https://www.sqlite.org/pragma.html#pragma_synchronous), on macOS with ``fullfsync``.
    """
    connection = _connect(path, "rw", factory)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        # After all connections were closed, another file may have the inode of the one that was prepared.
        _check(_header(connection), path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_memory(tables: Sequence[Table]) -> sqlite3.Connection:
    """Returns the connection to a new store in memory, with its tables."""
    connection = _open(":memory:")
    create_tables(connection, tables)
    return connection


def _check_owner(path: Path) -> None:
    """Refuses a file of another program, without a lock and without a change; an empty or missing file is nobody's."""
    # First, because the package creates the log after the header: a log that is there belongs to the file.
    has_log = _size(f"{path}-wal") > 0
    size = _size(path)
    if size == 0:
        if has_log:
            raise ConfigurationError(
                f"{path} is missing or empty, and {path}-wal is the log of another database: "
                "restore that database, or move the log away"
            )
        return
    # SQLite reads one byte as an empty file.
    if size == 1:
        raise _foreign(path)
    header = _read_unlocked(path)
    if not header.is_new:
        _check(header, path)
    elif header.application_id != APPLICATION_ID and (has_log or _size(f"{path}-journal") > 0):
        raise _foreign(path)


def _read_unlocked(path: Path) -> _Header:
    try:
        with closing(_connect(path, "ro&immutable=1")) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("BEGIN")  # Reads everything at one moment.
            return _header(connection)
    except sqlite3.DatabaseError as error:
        if not is_unreadable(error):
            raise
        raise ConfigurationError(f"{path} is not a database of this package: {error}") from error


def _create_empty(path: Path) -> None:
    """Creates an empty file that only its owner can read, where it is missing.

    SQLite would use the permissions of any other file. It gives the files next to it those of this one.
    """
    # On failure it exists, or SQLite's error for it is the better one.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _claim(connection: sqlite3.Connection) -> None:
    """Writes the id into an empty file, in a transaction of its own, which writes one page."""
    if _header(connection).is_new:
        with transaction(connection):
            if _header(connection).is_new:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _connect(path: Path, mode: str, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    return _open(f"{path.as_uri()}?mode={mode}", factory)


def _open(uri: str, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """Opens a connection that never waits for a lock: the engine does, until the call's deadline."""
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
        factory=factory,
    )


def _header(connection: sqlite3.Connection) -> _Header:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    # With a version, the tables may be on pages that are only in the log.
    is_empty = version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    return _Header(application_id, version, is_empty)


def _size(path: str | Path) -> int:
    """Returns the size of a file in bytes; 0 where there is none, or it cannot be found out."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 (of a text)
    except OSError:
        return 0


def _foreign(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path} belongs to another program: give the path of another file")


def _check(header: _Header, path: Path) -> None:
    if header.application_id != APPLICATION_ID:
        raise _foreign(path)
    if header.version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path} has version {header.version} of the schema, and this package supports version {SCHEMA_VERSION}: "
            "upgrade the package, or give the path of another file"
        )
