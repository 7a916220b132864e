"""PostgreSQL's dialect.

An index entry has at most 2,704 bytes (https://www.postgresql.org/docs/current/btree.html), and the two keys of an item
may have 3,072. Indexes contain the SHA-256 of the partition key instead.
"""

from __future__ import annotations

from typing import Final

from ..sql.dialect import Dialect

CATALOG: Final = "package_database"
"""The schema, on every server, of the function ``digest`` and of what ``shard_catalog`` stores."""

POSTGRESQL: Final = Dialect(
    types={"S": 'TEXT COLLATE "C"', "N": "BIGINT", "B": "BYTEA"},
    begin="BEGIN ISOLATION LEVEL READ COMMITTED",
    placeholder="%s",
    row_lock=" FOR UPDATE",
    partition=f"{CATALOG}.digest({{}})",
)
