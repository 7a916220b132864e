"""A transaction that may be delivered again takes effect at most once per token."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database import ConflictError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Get, Missing, Put, Transact
from open_alchemy.package_database.engines.sql.idempotency_tokens import LIFETIME
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.database_file import connect_to_file
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine, open_sqlite
from open_alchemy.package_database.model.schema import SPECS, TABLES

KEY = {"sub": "u", "updated_at_id": "latest#a"}


@pytest.fixture
def engine(tmp_path: Path) -> SQLiteEngine:
    engine = open_sqlite(SQLiteConfig(tmp_path / "a.db"), TABLES)
    engine.prepare()
    return engine


def put(version: str, token: str, *, is_new: bool = False) -> Transact:
    condition = Missing("sub") if is_new else None
    return Transact((Put(SPECS, {**KEY, "id": "a", "version": version}, condition),), token, is_repeatable=True)


def execute(engine: SQLiteEngine, operation: Transact) -> Any:
    return engine.execute(operation, Deadline(5))


def version(engine: SQLiteEngine) -> str | None:
    found = engine.execute(Get(SPECS, KEY), Deadline(5))
    return None if found is None else found["version"]


def query(engine: SQLiteEngine, text: str) -> list[Any]:
    assert engine.config.path is not None
    with closing(connect_to_file(engine.config.path)) as connection:
        return connection.execute(text).fetchall()


def test_a_transaction_that_is_repeated_after_a_later_one_changes_nothing(engine: SQLiteEngine) -> None:
    assert execute(engine, put("1", "t1", is_new=True)) == {}
    assert execute(engine, put("2", "t2")) == {}
    assert execute(engine, put("1", "t1", is_new=True)) == {}
    assert version(engine) == "2"


def test_a_transaction_that_failed_does_not_take_effect_later(engine: SQLiteEngine) -> None:
    execute(engine, put("1", "t1"))
    failed = put("2", "t2", is_new=True)
    assert set(execute(engine, failed)) == {0}
    assert set(execute(engine, failed)) == {0}
    query(engine, 'DELETE FROM "package.specs"')
    with pytest.raises(ConflictError) as caught:
        execute(engine, failed)
    assert (caught.value.code, version(engine)) == ("TokenUsed", None)


def test_old_tokens_are_deleted_and_young_ones_kept(engine: SQLiteEngine) -> None:
    execute(engine, put("1", "old"))
    execute(engine, put("1", "young"))
    query(
        engine,
        f"UPDATE \"package.tokens\" SET created = created - {LIFETIME + 1} WHERE token = 'old'",  # noqa: S608
    )
    execute(engine, put("1", "00"))
    assert query(engine, 'SELECT token FROM "package.tokens" ORDER BY token') == [("00",), ("young",)]


def test_without_a_broker_no_token_is_recorded(engine: SQLiteEngine) -> None:
    execute(engine, put("1", "t")._replace(is_repeatable=False))
    assert query(engine, "SELECT name FROM sqlite_master WHERE name = 'package.tokens'") == []
