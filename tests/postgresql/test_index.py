"""The index of public keys: its entry is never missing, a key is unique over all servers, and stale entries do no harm.

Two operations are interleaved at each of their requests to a server.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import settings

from open_alchemy.package_database import ConflictError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Delete, Item, Put, Query, Scan, StoreOperation, Transact
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.database import Database
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.postgresql.engine import PostgreSQLEngine
from open_alchemy.package_database.engines.postgresql.io_requests import OnServer, Requests
from open_alchemy.package_database.model.schema import CREDENTIALS, PUBLIC_KEY, TABLES
from tests.canary import HASH, SALT

SCHEDULES = max(8, settings().max_examples // 40)
"""8 in an ordinary run, 100 in a long one."""


def put(sub: str, public_key: str, token: str, *, id_: str = "1") -> Transact:
    item: Item = {
        "sub": sub,
        "id": id_,
        "public_key": public_key,
        "secret_key_hash": Secret(HASH),
        "salt": Secret(SALT),
        "encoding": "raw",
    }
    return Transact((Put(CREDENTIALS, item),), token)


def delete(sub: str, token: str) -> Transact:
    return Transact((Delete(CREDENTIALS, {"sub": sub, "id": "1"}),), token)


@dataclass
class Race:
    """Operations that follow each other, and two that run at once."""

    before: tuple[Transact, ...]
    first: Transact
    second: Transact


RACES = {
    "two users store one key": Race((), put("u1", "pk", "t1"), put("u2", "pk", "t2")),
    "one user stores one key in two credentials": Race((), put("u1", "pk", "t1"), put("u1", "pk", "t2", id_="2")),
    "the same credentials are stored twice": Race((), put("u1", "pk", "t1"), put("u1", "pk", "t2")),
    "credentials are deleted and stored again": Race(
        (put("u1", "pk", "t0"),), delete("u1", "t1"), put("u1", "pk", "t2")
    ),
    "a key is replaced, and stored again": Race(
        (put("u1", "pk", "t0"),), put("u1", "other", "t1"), put("u1", "pk", "t2")
    ),
    "a key is given up, and taken over": Race((put("u1", "pk", "t0"),), delete("u1", "t1"), put("u2", "pk", "t2")),
    "a stale entry is taken over, and stored again": Race(
        (put("u1", "pk", "t0"), delete("u1", "t1")), put("u2", "pk", "t2"), put("u1", "pk", "t3")
    ),
    "two keys are exchanged": Race(
        (put("u1", "pk", "t0"), put("u2", "other", "t1")), put("u1", "other", "t2"), put("u2", "pk", "t3")
    ),
}


@pytest.fixture
def engine(config: Config) -> Iterator[PostgreSQLEngine]:
    opened = config.open_engine(TABLES)
    assert isinstance(opened, PostgreSQLEngine)
    opened.prepare()
    yield opened
    opened.close()


def run_interleaved(engine: PostgreSQLEngine, race: Race, choose: Callable[[], int]) -> list[bool]:
    """Runs the two operations, one request at a time, and returns which of them succeeded."""
    return interleave(engine, [engine.routing.execute(operation) for operation in (race.first, race.second)], choose)


def interleave(engine: PostgreSQLEngine, requests: list[Requests[Any]], choose: Callable[[], int]) -> list[bool]:
    running = dict(enumerate(requests))
    results: list[Any] = [None, None]
    succeeded = [True, True]
    while running:
        number = choose() if len(running) > 1 else next(iter(running))
        try:
            request = running[number].send(results[number])
            assert isinstance(request, OnServer)
            results[number] = engine._perform(request, Deadline(5))
        except StopIteration:
            del running[number]
        except ConflictError:
            succeeded[number] = False
            del running[number]
    return succeeded


def execute(engine: PostgreSQLEngine, operation: StoreOperation) -> Any:
    return engine.execute(operation, Deadline(5))


def check_index(engine: PostgreSQLEngine) -> list[Item]:
    """Checks that each key is unique and that its entry is not missing, and returns the credentials."""
    items = list(execute(engine, Scan(CREDENTIALS, 100)).items)
    keys = [item["public_key"] for item in items]
    assert len(keys) == len(set(keys))
    for item in items:
        found = execute(engine, Query(CREDENTIALS, str(item["public_key"]), secondary_index=PUBLIC_KEY))
        assert [CREDENTIALS.key_of(entry) for entry in found] == [CREDENTIALS.key_of(item)]
    return items


@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
def test_no_interleaving_breaks_the_index(engine: PostgreSQLEngine, race: Race) -> None:
    for seed in range(SCHEDULES):
        for table in TABLES:
            engine.administration().clear(table)
        # A token is used once, also over schedules.
        renamed = [
            Transact(operation.actions, f"{seed}.{operation.token}")
            for operation in (*race.before, race.first, race.second)
        ]
        for operation in renamed[:-2]:
            execute(engine, operation)
        choose = partial(random.Random(seed).randrange, 2)  # noqa: S311 (a schedule)

        succeeded = run_interleaved(engine, Race((), *renamed[-2:]), choose)

        check_index(engine)
        assert any(succeeded) or race is RACES["two keys are exchanged"]


def test_a_stale_entry_is_replaced(database: Database) -> None:
    engine: Any = database.engine
    store(database, "u1")
    crash_before_the_entry_is_deleted(engine, delete("u1", "t1"))

    before = database.get_user(public_key="pk")
    stale = execute(engine, Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY))
    store(database, "u2")
    after = database.get_user(public_key="pk")

    assert before is None
    assert [entry["sub"] for entry in stale] == ["u1"]
    assert after is not None
    assert after.sub == "u2"


def test_the_entry_of_deleted_credentials_is_deleted(database: Database) -> None:
    store(database, "u1")

    database.delete_all(sub="u1")

    assert execute(database.engine, Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY)) == []  # type: ignore[arg-type]


def test_get_user_takes_two_requests(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store(database, "u1")
    engine: Any = database.engine
    perform, requests = engine._perform, list[str]()

    def count(request: OnServer, deadline: Deadline) -> Any:
        requests.append(request.what)
        return perform(request, deadline)

    monkeypatch.setattr(engine, "_perform", count)

    database.get_user(public_key="pk")

    assert len(requests) == 2


def test_repair_deletes_stale_entries_and_only_these(database: Database) -> None:
    engine: Any = database.engine
    store(database, "u1")
    crash_before_the_entry_is_deleted(engine, delete("u1", "repaired"))
    database.create_update_credentials(sub="u2", id_="1", public_key="kept", secret_key_hash=HASH, salt=SALT)

    first = engine.administration().repair()
    second = engine.administration().repair()

    assert (first, second) == (1, 0)
    assert execute(engine, Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY)) == []
    assert len(check_index(engine)) == 1


def test_no_interleaving_of_a_repair_with_a_writer_breaks_the_index(engine: PostgreSQLEngine) -> None:
    for seed in range(SCHEDULES):
        for table in TABLES:
            engine.administration().clear(table)
        execute(engine, put("u1", "pk", f"repair.{seed}.t0"))
        crash_before_the_entry_is_deleted(engine, delete("u1", f"repair.{seed}.t1"))
        choose = partial(random.Random(seed).randrange, 2)  # noqa: S311 (a schedule)

        interleave(
            engine, [engine.routing.repair(), engine.routing.execute(put("u1", "pk", f"repair.{seed}.t2"))], choose
        )

        assert len(check_index(engine)) == 1


def crash_before_the_entry_is_deleted(engine: PostgreSQLEngine, operation: Transact) -> None:
    """Executes the requests of a transaction up to the one that follows its commit."""
    steps = engine.routing.execute(operation)
    request: Any = next(steps)
    while request.what.startswith("reading"):
        request = steps.send(engine._perform(request, Deadline(5)))
    steps.send(engine._perform(request, Deadline(5)))
    steps.close()


def store(database: Database, sub: str) -> None:
    database.create_update_credentials(sub=sub, id_="1", public_key="pk", secret_key_hash=HASH, salt=SALT)
