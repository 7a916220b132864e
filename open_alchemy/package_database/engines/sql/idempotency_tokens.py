"""The tokens of transactions that may be delivered again, in SQLite: recorded in the transaction itself.

The table is created by the first of these transactions, so that a file without a broker has none. A token is deleted
when no broker accepts its transaction any more.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from enum import Enum, auto
from typing import Final

from .statements import Row, Statement

LIFETIME: Final = 3_600
"""The minimum number of seconds for which a token is kept."""
_TABLE: Final = '"package.tokens"'
_PRUNING: Final = "00"
"""The prefix of the tokens whose transactions delete old tokens: one in 256."""
_CREATE: Final = Statement(
    f"CREATE TABLE IF NOT EXISTS {_TABLE} "
    "(token TEXT PRIMARY KEY, is_committed INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID"
)
_READ: Final = f"SELECT is_committed FROM {_TABLE} WHERE token = ?"  # noqa: S608 (a constant)
_INSERT: Final = f"INSERT INTO {_TABLE} VALUES (?, ?, unixepoch())"  # noqa: S608
_DELETE: Final = Statement(f"DELETE FROM {_TABLE} WHERE created < unixepoch() - {LIFETIME}")  # noqa: S608


class Outcome(Enum):
    """What a transaction did when it was executed."""

    COMMITTED = auto()
    FAILED = auto()


def recorded(token: str) -> Generator[Statement, Sequence[Row], Outcome | None]:
    """Returns the outcome of the transaction with a token; None if it was not executed, or has no token."""
    if not token:
        return None
    yield _CREATE
    if token.startswith(_PRUNING):
        yield _DELETE
    rows = yield Statement(_READ, (token,))
    if not rows:
        return None
    return Outcome.COMMITTED if rows[0][0] else Outcome.FAILED


def record(token: str, *, is_committed: bool) -> Statement:
    """Returns the statement that records a token."""
    return Statement(_INSERT, (token, int(is_committed)))
