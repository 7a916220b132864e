"""Executes a statement and reads its rows, as ``sqlite3.Row``, whose repr contains no value.

Text that is not UTF-8 is returned as ``Secret`` bytes, which the checks of stored items refuse. The error of
``sqlite3`` would contain the text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from ...core.secret import Secret
from ..sql.statements import Row, Statement
from .errors import is_undecodable_text

PAGE: Final = 1_000
"""Rows that are read before progress is reported."""


def execute(connection: sqlite3.Connection, statement: Statement, progress: Callable[[], None]) -> list[Row]:
    """Executes a statement and returns its rows.

    Args:
        connection: The connection; it is the caller's alone.
        statement: The statement.
        progress: Is called after each page of rows.
    """
    try:
        return _read(connection, statement, progress)
    except sqlite3.OperationalError as error:
        if not is_undecodable_text(error):
            raise
    # Outside of the handler, so that no later error refers to this one.
    connection.text_factory = _decode
    try:
        return _read(connection, statement, progress)
    finally:
        connection.text_factory = str


def _read(connection: sqlite3.Connection, statement: Statement, progress: Callable[[], None]) -> list[Row]:
    rows: list[Row] = []
    cursor = connection.execute(*statement)
    try:
        cursor.row_factory = sqlite3.Row
        is_last = False
        while not is_last:
            page = cursor.fetchmany(PAGE)
            rows += page
            progress()
            is_last = len(page) < PAGE
    finally:
        # A cursor that stays open keeps the connection at an old snapshot.
        cursor.close()
    return rows


def _decode(text: bytes) -> str | Secret:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return Secret(text)
