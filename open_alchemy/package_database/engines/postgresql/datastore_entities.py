"""Entities of a shard: text by name (hstore), under 64-bit keys made in the database. No I/O.

A key has 41 bits of milliseconds since ``EPOCH_MILLISECONDS``, 13 of the shard, and 10 of a sequence
("Sharding & IDs at Instagram"). The function ``next_id`` of a shard makes it from one row, which stores the time and
the sequence of the last key as one number: the next one is the larger of this number plus 1 and of the clock. So keys
grow and stay unique above 1,024 in a millisecond, and when the clock steps back. The row is locked until the
transaction ends: keys of one shard become visible in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from ..sql.execution import StatementSteps
from ..sql.statements import Statement
from .dialect import CATALOG
from .shard_hash import schema_of

EPOCH_MILLISECONDS: Final = 1379365531352
SHARD_BITS: Final = 13
SEQUENCE_BITS: Final = 10
_TIME_SHIFT: Final = SHARD_BITS + SEQUENCE_BITS
_SEQUENCE_MASK: Final = (1 << SEQUENCE_BITS) - 1

Data = Mapping[str, str | None]

CREATE_IN_CATALOG: Final = (
    "CREATE EXTENSION IF NOT EXISTS hstore",
    f"""CREATE OR REPLACE FUNCTION {CATALOG}.milliseconds() RETURNS BIGINT LANGUAGE sql VOLATILE
    AS 'SELECT greatest(0, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - {EPOCH_MILLISECONDS})'""",  # noqa: S608 (a constant)
)
"""Statements that create what the entities of all shards of a server share."""


def definitions(shard: int) -> dict[str, str]:
    """Returns the statements that create the entities of a shard, by name."""
    schema = schema_of(shard)
    return {
        "last_id": f"CREATE TABLE {schema}.last_id (only_row BOOLEAN PRIMARY KEY CHECK (only_row), "
        "number BIGINT NOT NULL) WITH (fillfactor = 10)",
        "next_id": f"""CREATE OR REPLACE FUNCTION {schema}.next_id() RETURNS BIGINT LANGUAGE sql VOLATILE AS '
        INSERT INTO {schema}.last_id AS last VALUES (true, {CATALOG}.milliseconds() << {SEQUENCE_BITS})
        ON CONFLICT (only_row) DO UPDATE SET number = greatest(last.number + 1, excluded.number)
        RETURNING (number >> {SEQUENCE_BITS} << {_TIME_SHIFT}) | {shard << SEQUENCE_BITS}
               | (number & {_SEQUENCE_MASK})'""",  # noqa: S608 (a name of the schema)
        "entities": f"CREATE TABLE {schema}.entities (id BIGINT PRIMARY KEY DEFAULT {schema}.next_id(), "
        "kind INTEGER NOT NULL, data HSTORE NOT NULL, token UUID UNIQUE)",
    }


def put(shard: int, kind: int, data: Data, token: UUID) -> StatementSteps[int]:
    """Stores an entity and returns its id. Repeated with the same token, it stores nothing and returns the same id."""
    schema = schema_of(shard)
    rows = yield Statement(
        f"INSERT INTO {schema}.entities (id, kind, data, token) VALUES ({schema}.next_id(), %s, %s, %s) "  # noqa: S608 (a name of the schema)
        "ON CONFLICT (token) DO UPDATE SET token = excluded.token RETURNING id",
        (kind, _literal(data), token),
    )
    id_: int = rows[0][0]
    return id_


def get(shard: int, id_: int) -> StatementSteps[dict[str, str | None] | None]:
    """Returns the data of an entity, or None if it does not exist."""
    # A cast, unlike a function of the extension, is found in whatever schema the extension is.
    rows = yield Statement(f"SELECT data::json FROM {schema_of(shard)}.entities WHERE id = %s", (id_,))  # noqa: S608 (a name of the schema)
    return rows[0][0] if rows else None


def _literal(data: Data) -> str:
    """Returns hstore's text format, which the server reads as the type of the column."""
    return ",".join(f"{_quoted(name)}=>{'NULL' if value is None else _quoted(value)}" for name, value in data.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
