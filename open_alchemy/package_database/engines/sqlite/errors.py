"""Translates errors of ``sqlite3`` to the package's. Pure.

No message contains a value: SQLite's messages name tables, columns and syntax, and values are parameters. The exception
is text that is not UTF-8, which ``statement_execution`` handles.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from ...core.operations import DUPLICATE_KEY
from ...exceptions import ConflictError, RefusedError, StoreError, UnavailableError

_PRIMARY: Final = 0xFF
"""The primary result code in an extended one (https://www.sqlite.org/rescode.html)."""
_TRANSIENT: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_UNREADABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNIQUE: Final = "UNIQUE constraint failed: "
_HINTS: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_CANTOPEN: "is there such a folder, and may this process read and write there?",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a backup",
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this was written",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database",
    sqlite3.SQLITE_READONLY: "this process may not write to the file, or to its folder",
}


def is_transient(error: sqlite3.Error) -> bool:
    """Returns whether another connection was in the way, so that a retry may succeed."""
    return _number(error) in _TRANSIENT


def is_unreadable(error: sqlite3.Error) -> bool:
    """Returns whether the file is not a database, or a damaged one."""
    return _number(error) in _UNREADABLE


def is_undecodable_text(error: sqlite3.Error) -> bool:
    """Returns whether a row has text that is not UTF-8; then the message contains the text.

    This error is raised by ``sqlite3`` itself, so it lacks SQLite's code.
    """
    return isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")


def code_of(error: sqlite3.Error) -> str:
    """Returns SQLite's name of an error, or the class of an error of ``sqlite3`` itself."""
    name: str = getattr(error, "sqlite_errorname", type(error).__name__)
    return name


def is_conflict(error: sqlite3.Error) -> bool:
    """Returns whether another item has the key of a unique index."""
    return code_of(error) == "SQLITE_CONSTRAINT_UNIQUE"


def translate(error: sqlite3.Error, what: str, *, attempts: int, seconds: float) -> StoreError:
    """Returns the package's error for one that a retry did not solve, or cannot.

    Args:
        error: The last attempt's.
        what: What was attempted.
        attempts: How many times.
        seconds: The time since the call began.
    """
    code = code_of(error)
    if is_transient(error):
        kind: type[StoreError] = UnavailableError
        message = f"{what} waited {seconds:.1f} s for the lock of another writer"
    elif is_conflict(error):
        column = str(error).removeprefix(_UNIQUE).rpartition(".")[2]
        kind, message, code = ConflictError, f"{what}: another item has the same {column}", DUPLICATE_KEY
    else:
        hint = _HINTS.get(_number(error))
        kind, message = RefusedError, f"{what} was refused with {code}: {error}{f' ({hint})' if hint else ''}"
    return kind(message, code=code, attempts=attempts, seconds=seconds)


def _number(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & _PRIMARY
