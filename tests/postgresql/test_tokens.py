"""A transaction takes effect at most once per token, however late its request is delivered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from open_alchemy.package_database import ConflictError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Get, Item, Missing, Put, Transact
from open_alchemy.package_database.engines.port import Engine
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import SPECS, TABLES
from tests.postgresql.databases import create_tables

KEY = {"sub": "u", "updated_at_id": "latest#a"}


@pytest.fixture
def url(empty_url: str) -> str:
    """A database with one shard."""
    create_tables(empty_url, shards=1)
    return empty_url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = from_url(url, {}).open_engine(TABLES)
    yield opened
    opened.close()


def put(version: str, token: str, *, is_new: bool = False) -> Transact:
    item: Item = {**KEY, "id": "a", "version": version}
    return Transact((Put(SPECS, item, Missing("sub") if is_new else None),), token)


def execute(engine: Engine, operation: Any) -> Any:
    return engine.execute(operation, Deadline(5))


def test_a_repeated_transaction_has_one_effect(engine: Engine) -> None:
    first = execute(engine, put("1", "t1", is_new=True))
    execute(engine, put("2", "t2"))
    late = execute(engine, put("1", "t1", is_new=True))

    assert first == late == {}
    assert execute(engine, Get(SPECS, KEY))["version"] == "2"


def test_a_transaction_that_failed_on_its_conditions_never_takes_effect(engine: Engine) -> None:
    execute(engine, put("1", "t1"))
    failed = execute(engine, put("2", "t2", is_new=True))
    again = execute(engine, put("2", "t2", is_new=True))

    assert list(failed) == list(again) == [0]
    with pytest.raises(ConflictError, match="was repeated after it had failed"):
        execute(engine, put("2", "t2"))
    assert execute(engine, Get(SPECS, KEY))["version"] == "1"


def test_old_tokens_are_deleted(engine: Engine, url: str) -> None:
    for number in range(3):
        execute(engine, put("1", f"t{number}"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE shard0001.tokens SET created = now() - interval '2 days' WHERE token <> 't2'")

        execute(engine, put("1", "00"))

        found = connection.execute("SELECT token FROM shard0001.tokens ORDER BY 1").fetchall()

    assert found == [("00",), ("t2",)]
