"""A transaction of puts as one statement: one round trip, which locks, checks, writes and commits. Pure.

The statement takes its snapshot before it has the lock of the partition. So the conditions are checked twice: on the
snapshot, and by ``ON CONFLICT ... WHERE``, which reads the newest version of a row, also one that the snapshot lacks.
If only the second check fails, the statement divides by zero, which undoes it, and is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...core.operations import Action, Put
from ..sql.conditions import holds, render
from ..sql.execution import SQLExecution, key_of
from ..sql.statements import Statement
from .dialect import POSTGRESQL

PREFIX: Final = "WITH locked AS MATERIALIZED"
"""How the statement starts; it commits."""


def can_put(actions: Sequence[Action]) -> bool:
    """Returns whether a transaction consists of puts each of which may store a new item."""
    return all(
        isinstance(action, Put) and (action.condition is None or holds(action.condition, None)) for action in actions
    )


def lock_partition(schema: str) -> str:
    """Returns the query, with the key of the lock as parameter, that locks a partition.

    It locks the table ``generations`` before, by a query without rows. A move locks all tables, this one first: so it
    neither waits for a transaction that waits for the move, nor the other way round.
    """
    return f"SELECT pg_advisory_xact_lock(%s) WHERE NOT EXISTS (SELECT FROM {schema}.generations WHERE false)"  # noqa: S608 (a name of the schema)


def put_all(sql: SQLExecution, actions: Sequence[Put], schema: str, lock: int, token: str) -> Statement:
    """Returns the statement, whose only value is whether everything was written; otherwise nothing was.

    Nothing is written if a condition does not hold, or if the token was used before.

    Args:
        sql: The statements of the tables.
        actions: The puts.
        schema: The schema of the shard.
        lock: The key of the lock of the partition.
        token: The token of the transaction.
    """
    failed: list[str] = []
    puts: list[str] = []
    checked: list[Any] = []
    written: list[Any] = []
    for place, action in enumerate(actions):
        table = sql.of(action.table)
        condition, values = render(action.condition, POSTGRESQL.placeholder)
        failed.append(f"SELECT FROM {table.sql_name} AS item, locked WHERE {table.key_condition} AND NOT {condition}")
        checked += (*table.key_values(key_of(action)), *values)
        put = table.put_from(action.item, "token", condition)
        puts.append(f"put{place} AS ({put.text} RETURNING 1)")
        written += (*put.parameters, *values)
    counts = " + ".join(f"(SELECT count(*) FROM put{place})" for place in range(len(actions)))  # noqa: S608 (constants)
    return Statement(
        f"{PREFIX} ({lock_partition(schema)}), "  # noqa: S608 (names of the schema)
        f"failed AS MATERIALIZED ({' UNION ALL '.join(failed)}), "
        f"token AS (INSERT INTO {schema}.tokens (token, is_committed) SELECT %s, true FROM locked "
        f"WHERE NOT EXISTS (SELECT FROM failed) ON CONFLICT DO NOTHING RETURNING 1), {', '.join(puts)} "
        f"SELECT CASE (SELECT count(*) FROM token) WHEN 0 THEN false ELSE 1 / (({counts}) / {len(actions)}) = 1 END",
        (lock, *checked, token, *written),
    )
