"""Opening a file: whose it is, making its tables, and connections to it.

A file of the package carries its ``application_id`` and, as ``user_version``, the version of its schema. A file with
others is refused untouched: it is looked at as ``immutable``, which takes no lock and makes no file beside it, before
it is opened to write.

https://www.sqlite.org/pragma.html#pragma_application_id
https://www.sqlite.org/uri.html#uriimmutable
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from ...exceptions import ConfigurationError
from ...model.schema import TABLES
from ..sql.statements import BEGIN, COMMIT, ROLLBACK, create_table
from .errors import is_unreadable

APPLICATION_ID: Final = 0x4F415044
"""The letters OAPD."""
SCHEMA_VERSION: Final = 1

_ID_BYTES: Final = slice(68, 72)
_LOOKS: Final = 5
_LOOK_AGAIN: Final = 0.05
_CACHED_STATEMENTS: Final = 64


class _Header(NamedTuple):
    """What a file says of itself.

    Attributes:
        application_id: Whose file it is; 0 where it does not say.
        version: The version of its schema.
        is_empty: Whether it has no tables.
    """

    application_id: int
    version: int
    is_empty: bool

    @property
    def is_new(self) -> bool:
        """Whether the file's tables are still to be made; it may say already whose they will be."""
        return self.is_empty and self.version == 0 and self.application_id in (0, APPLICATION_ID)


def prepare_file(path: Path) -> None:
    """Makes a file's tables where it is new, and sees to it that it is one of the package's, in WAL mode.

    Any number of processes may do so at once, and one thread of each.

    Raises:
        ConfigurationError: The file belongs to something else, or to a newer version of the package; it is untouched.
        sqlite3.Error: The file cannot be opened, or another connection is in the way.
    """
    if not _make(path):
        has_log = _has_log(path)
        header = _look_at(path)
        # One of the package's has its header in the file itself before it has a log. To open another program's to see
        # its log would be to close it again, and the last to close it takes its log in.
        if header.is_new and has_log:
            raise _foreign(path)
        _check(header, path)
    with closing(_connect(path, "rw")) as connection:
        # Only now for certain: a crash while it was made is undone by opening it.
        if _header(connection).is_new:
            # First whose it is, alone in one page: so it can be told after a crash in the middle of the rest.
            with transaction(connection):
                if _header(connection).is_new:
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            with transaction(connection):
                if _header(connection).is_new:
                    make_tables(connection)
        _check(_header(connection), path)
        # Left for last, so that the header of a file that has been made is never in its write-ahead log alone.
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ConfigurationError(
                f"{path} cannot be used: this file system has no shared memory for SQLite's WAL mode"
            )


def _make(path: Path) -> bool:
    """Makes an empty file that its owner alone may read, and returns whether it was not there.

    SQLite would give it the rights of any other file. It gives the files beside it those of this one.
    """
    try:
        os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError:
        pass  # Opening it tells why, in SQLite's words.
    return True


def connect_to_file(path: Path) -> sqlite3.Connection:
    """Returns a connection to a file that is prepared; raises what ``prepare_file`` does.

    Every transaction that is committed is on the disk: in WAL mode, ``synchronous = FULL`` syncs the log at each commit
    (https://www.sqlite.org/pragma.html#pragma_synchronous), and ``fullfsync`` sees to it that macOS does too.
    """
    connection = _connect(path, "rw")
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        # Where all were closed, another file may have got the inode of the one that was prepared.
        _check(_header(connection), path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_memory() -> sqlite3.Connection:
    """Returns the connection to a new store in memory, with its tables."""
    connection = _open(":memory:")
    make_tables(connection)
    return connection


def make_tables(connection: sqlite3.Connection) -> None:
    """Makes the tables, and says whose they are; inside a transaction where there is one."""
    for table in TABLES:
        for statement in create_table(table):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its start; undone where the block raises."""
    connection.execute(BEGIN)
    try:
        yield
        connection.execute(COMMIT)
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: sqlite3.Connection) -> None:
    """Undoes the transaction, if SQLite has not done so already."""
    if connection.in_transaction:
        connection.execute(ROLLBACK)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return _open(f"{path.as_uri()}?mode={mode}")


def _open(uri: str) -> sqlite3.Connection:
    """Opens a connection that never waits for a lock: the engine does, until the call's deadline."""
    return sqlite3.connect(
        uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
    )


def _look_at(path: Path) -> _Header:
    """Reads a file's header and leaves no trace.

    Without a lock, a file that another process makes at this moment may look damaged: so it looks again.
    """
    failure: sqlite3.DatabaseError | None = None
    for _ in range(_LOOKS):
        try:
            with closing(_open(f"{path.as_uri()}?immutable=1")) as connection:
                return _header(connection)
        except sqlite3.DatabaseError as error:
            if not is_unreadable(error):
                raise
            failure = error
        time.sleep(_LOOK_AGAIN)
    if os.path.exists(f"{path}-journal") and _is_of_this_package(path):  # noqa: PTH110 (that of Path raises for a long name)
        return _Header(APPLICATION_ID, 0, is_empty=True)
    raise ConfigurationError(f"{path} is no database of this package: {failure}") from failure


def _is_of_this_package(path: Path) -> bool:
    """Returns whether a file whose making was cut short is one of the package's, from the bytes that say so.

    Closing a file gives up all locks that the process has on it; a file in this state is open nowhere in this process.

    https://www.sqlite.org/fileformat2.html#the_database_header
    """
    with path.open("rb") as opened:
        return opened.read(_ID_BYTES.stop)[_ID_BYTES] == APPLICATION_ID.to_bytes(4, "big")


def _header(connection: sqlite3.Connection) -> _Header:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return _Header(application_id, version, is_empty=objects == 0)


def _has_log(path: Path) -> bool:
    """Returns whether a file has a write-ahead log; SQLite deletes that of an empty file."""
    try:
        return path.stat().st_size > 0 and Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False


def _foreign(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path} belongs to another program, and is left as it is: give the path of another file")


def _check(header: _Header, path: Path) -> None:
    if header.is_new:
        return
    if header.application_id != APPLICATION_ID:
        raise _foreign(path)
    if header.version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path} has version {header.version} of the schema, and this package knows version {SCHEMA_VERSION}: "
            "upgrade the package, or give the path of another file"
        )
