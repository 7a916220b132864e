"""Moves of shards: run, killed between two statements, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from open_alchemy.package_database.engines.port import MoveReporter, Sharded
from open_alchemy.package_database.engines.postgresql.admin_connection import AdminConnection
from open_alchemy.package_database.engines.postgresql.config import PostgreSQLConfig
from open_alchemy.package_database.model.schema import TABLES
from tests.postgresql.databases import execute


class KilledError(BaseException):
    """The command was killed."""


@contextmanager
def silent(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    yield lambda _: None


def move(config: PostgreSQLConfig, shard: int, target: str) -> list[str]:
    """Moves a shard, and returns the warnings."""
    warnings: list[str] = []
    engine = config.open_engine(TABLES)
    administration = engine.administration()
    assert isinstance(administration, Sharded)
    try:
        administration.move(shard, target, MoveReporter(warnings.append, silent))
    finally:
        engine.close()
    return warnings


def move_killed_before(
    monkeypatch: pytest.MonkeyPatch, statement: int, config: PostgreSQLConfig, shard: int, target: str
) -> bool:
    """Moves a shard, killed before one of its statements; returns whether the move had so many."""
    executed = 0

    def kill(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal executed
            executed += 1
            if executed == statement:
                raise KilledError
            return method(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("execute", "execute_all", "copy_from"):
            patch.setattr(AdminConnection, name, kill(getattr(AdminConnection, name)))
        try:
            move(config, shard, target)
        except KilledError:
            return True
    return False


def locations(config: PostgreSQLConfig, shard: int) -> list[str]:
    """Returns the servers that have the schema of a shard: those where it can be read and written."""
    text = f"SELECT to_regnamespace('shard{shard:04d}')"
    return [server.name for server in config.servers if execute(server.conninfo, text) != [(None,)]]


def leftovers(config: PostgreSQLConfig) -> list[Any]:
    """Returns what unfinished moves leave on the servers."""
    text = """
    SELECT nspname FROM pg_namespace WHERE nspname ~ '^(moving|retired)'
    UNION ALL SELECT slot_name FROM pg_replication_slots WHERE database = current_database()
    UNION ALL SELECT pubname FROM pg_publication
    UNION ALL SELECT 'move' FROM package_database.moves UNION ALL SELECT 'copy' FROM package_database.copies
    """
    return [row for server in config.servers for row in execute(server.conninfo, text)]
