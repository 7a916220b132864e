"""SQLite's dialect. Its BINARY collation is ``memcmp`` (https://www.sqlite.org/datatype3.html#collating_sequences)."""

from __future__ import annotations

from typing import Final

from ..sql.dialect import Dialect

SQLITE: Final = Dialect(
    types={"S": "TEXT", "N": "INTEGER", "B": "BLOB"},
    begin="BEGIN IMMEDIATE",
    # Items are found by their key alone (https://www.sqlite.org/withoutrowid.html).
    table_options=" WITHOUT ROWID",
)
