"""A transaction takes effect at most once per token, however late its request is delivered."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from open_alchemy.package_database import ConflictError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Delete, Get, Item, Missing, Put, Transact
from open_alchemy.package_database.engines.port import Engine
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES

KEY = {"sub": "u", "updated_at_id": "latest#a"}
CREDENTIALS_KEY = {"sub": "u", "id": "1"}
BLOCKED = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
"""
LOCKED = """
SELECT locktype, relname FROM pg_locks LEFT JOIN pg_class ON pg_class.oid = relation
WHERE pid = %s AND granted AND (locktype = 'advisory' OR relkind = 'r' AND relnamespace = to_regnamespace('shard0001'))
"""


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


@pytest.mark.parametrize("executions", [1, 12], ids=["parsed", "prepared"])
@pytest.mark.parametrize(
    "transaction",
    [
        put("1", "t"),
        Transact((Delete(SPECS, KEY, Missing("id")),), "t"),
        Transact((Delete(CREDENTIALS, CREDENTIALS_KEY),)),
    ],
    ids=["puts", "batches", "credentials"],
)
def test_a_transaction_locks_the_generations_before_anything_else(
    engine: Engine, url: str, transaction: Transact, executions: int
) -> None:
    """So a command that locks all tables, this one first, neither causes a deadlock nor waits for one to end."""
    for number in range(executions):
        execute(engine, transaction._replace(token=f"t{number}"))

    with psycopg.connect(url) as command, ThreadPoolExecutor(1) as threads:
        command.execute("LOCK TABLE shard0001.generations")
        waiting = threads.submit(execute, engine, transaction._replace(token="last"))
        with psycopg.connect(url, autocommit=True) as observer:
            while not (blocked := observer.execute(BLOCKED).fetchall()):
                assert not waiting.done()
            ((pid,),) = blocked
            locked = observer.execute(LOCKED, (pid,)).fetchall()
        command.rollback()
        waiting.result()

    assert locked == []


def test_old_tokens_are_deleted(engine: Engine, url: str) -> None:
    for number in range(3):
        execute(engine, put("1", f"t{number}"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE shard0001.tokens SET created = now() - interval '2 days' WHERE token <> 't2'")

        execute(engine, put("1", "00"))

        found = connection.execute("SELECT token FROM shard0001.tokens ORDER BY 1").fetchall()

    assert found == [("00",), ("t2",)]
