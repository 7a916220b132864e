"""Makes a file as an earlier version of the package created it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

MAKE_EARLIER = (
    'ALTER TABLE "package.credentials" DROP COLUMN "encoding"',
    'DROP INDEX "package.credentials.publicKey"',
    'CREATE INDEX "package.credentials.publicKey" ON "package.credentials" ("public_key")',
)
"""Removes the columns and the constraints that the schema gained."""


def change(path: Path, statements: Sequence[str]) -> None:
    """Executes statements on a file, past the package."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
