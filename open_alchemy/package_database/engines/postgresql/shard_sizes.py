"""The rows and bytes of shards. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from ..sql.execution import StatementSteps
from ..sql.statements import Row, Statement
from .shard_hash import schema_of

_TABLES: Final = """
SELECT nspname, quote_ident(nspname) || '.' || quote_ident(relname), pg_total_relation_size(pg_class.oid)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname = ANY(%s) ORDER BY nspname
"""


def measure(shards: Iterable[int]) -> StatementSteps[list[tuple[int, int, int]]]:
    """Returns the number of each of these shards that the server has, and the rows and bytes of all its tables."""
    numbers = {schema_of(shard): shard for shard in shards}
    tables: Sequence[Row] = yield Statement(_TABLES, (list(numbers),))
    measured: list[tuple[int, int, int]] = []
    for schema, group in groupby(tables, lambda table: table[0]):
        found = list(group)
        counts = " + ".join(f"(SELECT count(*) FROM {name})" for _, name, _ in found)  # noqa: S608 (names of the schema)
        ((rows,),) = yield Statement(f"SELECT {counts}")
        measured.append((numbers[schema], rows, sum(size for *_, size in found)))
    return measured
