"""From an error of ``sqlite3`` to the package's. Pure.

No message holds a value: SQLite's tell of tables, columns and syntax, and values travel as parameters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from ...exceptions import RefusedError

_PRIMARY: Final = 0xFF
"""The primary result code in an extended one (https://www.sqlite.org/rescode.html)."""
_TRANSIENT: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_UNREADABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_HINTS: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_CANTOPEN: "is there such a folder, and may this process read and write there?",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a backup",
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this was written",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database",
    sqlite3.SQLITE_READONLY: "this process may not write to the file, or to its folder",
}


def is_transient(error: sqlite3.Error) -> bool:
    """Returns whether another connection was in the way, so that trying again may help."""
    return _code(error) in _TRANSIENT


def is_unreadable(error: sqlite3.Error) -> bool:
    """Returns whether what was read is no database, or a damaged one."""
    return _code(error) in _UNREADABLE


def refusal(error: sqlite3.Error, what: str) -> RefusedError:
    """Returns the package's error for one that trying again does not help."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    hint = _HINTS.get(_code(error))
    return RefusedError(f"{what} was refused with {name}: {error}{f' ({hint})' if hint else ''}", code=name)


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & _PRIMARY
