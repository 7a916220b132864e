"""Moves of a shard: the data, the tokens, sequences and grants move; a kill at any moment loses and doubles nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from open_alchemy.package_database import ConfigurationError, RefusedError, TDatabase, UnavailableError
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Missing, Put, Transact
from open_alchemy.package_database.engines.postgresql import retry, shard_move, shard_move_steps
from open_alchemy.package_database.engines.postgresql.config import PostgreSQLConfig
from open_alchemy.package_database.engines.postgresql.shard_hash import shard_of
from open_alchemy.package_database.engines.postgresql.shard_move_steps import Step
from open_alchemy.package_database.model.schema import SPECS, TABLES
from tests.apis import aconnect_to, blocking, connect_to
from tests.canary import HASH, SALT
from tests.pairwise import is_long
from tests.postgresql.databases import create_tables, empty_map, execute
from tests.postgresql.moving import leftovers, locations, move, move_killed_before

SUB = next(f"u{number}" for number in range(100) if shard_of(f"u{number}", 2) == 1)
KILL_STEP = 1 if is_long() else 13
"""Every statement in a long run, every thirteenth one in an ordinary run."""


@pytest.fixture
def config(postgresql_servers: tuple[str, str], tmp_path: Path) -> Iterator[PostgreSQLConfig]:
    """A database of 2 shards, one on each of two servers."""
    with empty_map(postgresql_servers, tmp_path, 2) as url:
        created = create_tables(url, shards=2)
        assert isinstance(created, PostgreSQLConfig)
        yield created


@pytest.fixture
def database(config: PostgreSQLConfig) -> Iterator[TDatabase]:
    with connect_to(config) as opened:
        yield opened


def publish(database: TDatabase, version: str = "1") -> None:
    database.create_update_spec(sub=SUB, name="a", version=version, model_count=1, title='"\\\t\n(é,)')


def versions(database: TDatabase) -> list[str]:
    return [info["version"] for info in database.list_spec_versions(sub=SUB, name="a")]


def test_a_stale_process_continues_after_a_move(config: PostgreSQLConfig, database: TDatabase) -> None:
    publish(database)
    database.create_update_credentials(sub=SUB, id_="1", public_key="pk", secret_key_hash=HASH, salt=SALT)
    with blocking(aconnect_to(config)) as other:
        publish(other, "2")

        warnings = move(config, 1, "db2")
        publish(database, "3")
        publish(other, "4")
        found = database.get_user(public_key="pk")
        assert versions(database) == versions(other) == ["1", "2", "3", "4"]

    assert found is not None
    assert bytes(found.secret_key_hash) == HASH
    assert warnings == []
    assert locations(config, 1) == ["db2"]
    assert leftovers(config) == []


def test_changes_during_the_copy_are_applied(
    config: PostgreSQLConfig, database: TDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(database)
    database.create_update_spec(sub=SUB, name="deleted", version="1", model_count=1)
    follow = shard_move.Mover._follow

    def write_before(self: shard_move.Mover, *arguments: Any) -> tuple[int, bool]:
        if not written:
            written.append(True)
            # An update with an unchanged value that is stored out of line.
            long = "".join(chr(0x4E00 + number) for number in range(20_000))
            database.create_update_spec(sub=SUB, name="a", version="2", model_count=1, description=long)
            execute(config.servers[0].conninfo, "UPDATE shard0001.specs SET model_count = 7 WHERE version = '2'")
            database.delete_spec(sub=SUB, name="deleted")
        return follow(self, *arguments)

    written: list[bool] = []
    monkeypatch.setattr(shard_move, "_BATCH", 3)
    monkeypatch.setattr(shard_move.Mover, "_follow", write_before)

    move(config, 1, "db2")
    found = database.get_spec(sub=SUB, name="a")

    assert found is not None
    assert (found["version"], found["model_count"], len(found["description"])) == ("2", 7, 20_000)
    assert [spec["id"] for spec in database.list_specs(sub=SUB)] == ["a"]


def test_a_transaction_is_recognised_after_a_move(config: PostgreSQLConfig, database: Any) -> None:
    engine = database.engine
    key = {"sub": SUB, "updated_at_id": "latest#a"}
    transaction = Transact((Put(SPECS, {**key, "id": "a", "version": "1"}, Missing("sub")),), "t1")
    engine.execute(transaction, Deadline(5))

    move(config, 1, "db2")
    again = engine.execute(transaction, Deadline(5))

    assert again == {}


def test_other_tables_sequences_functions_and_grants_move(config: PostgreSQLConfig, role: str) -> None:
    source, target = (server.conninfo for server in config.servers)
    execute(
        source,
        f"""
        CREATE SEQUENCE shard0001."the numbers" START 5;
        CREATE FUNCTION shard0001.next() RETURNS bigint LANGUAGE sql AS 'SELECT nextval(''shard0001."the numbers"'')';
        CREATE TABLE shard0001.others
        (id bigint PRIMARY KEY DEFAULT shard0001.next(), "a b" text[] UNIQUE, at timestamptz);
        CREATE TABLE shard0001.keyless (a text, b text);
        INSERT INTO shard0001.others ("a b", at) VALUES ('{{x,NULL}}', now());
        INSERT INTO shard0001.keyless VALUES ('x', NULL), ('x', NULL);
        GRANT USAGE ON SCHEMA shard0001 TO {role}; GRANT SELECT ON shard0001.others TO {role}
        """,  # noqa: S608 (names of the test)
    )
    rows = execute(source, "SELECT * FROM shard0001.others")

    move(config, 1, "db2")

    assert execute(target, "SELECT * FROM shard0001.others") == rows
    assert execute(target, "SELECT * FROM shard0001.keyless") == [("x", None)] * 2
    assert execute(target, "SELECT shard0001.next()") == [(6,)]
    assert execute(target, f"SELECT has_table_privilege('{role}', 'shard0001.others', 'SELECT')") == [(True,)]
    assert execute(target, f"SELECT has_schema_privilege('{role}', 'shard0001', 'USAGE')") == [(True,)]
    assert differences_of(config) == []


def differences_of(config: PostgreSQLConfig) -> list[str]:
    engine = config.open_engine(TABLES)
    try:
        return [difference for table in TABLES for difference in engine.administration().differences(table)]
    finally:
        engine.close()


def test_without_logical_replication_the_shard_is_copied_under_a_lock(
    config: PostgreSQLConfig, database: TDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(database)
    monkeypatch.setattr(shard_move, "_not_replicated_because", lambda _: "wal_level of db1 is replica, not logical")

    warnings = move(config, 1, "db2")
    publish(database, "2")

    assert warnings == ["wal_level of db1 is replica, not logical: shard 1 is locked while it is copied"]
    assert versions(database) == ["1", "2"]
    assert leftovers(config) == []


@pytest.mark.parametrize("replicates", [True, False], ids=["logical replication", "lock"])
def test_a_move_that_is_killed_at_any_statement_continues(
    config: PostgreSQLConfig, database: TDatabase, monkeypatch: pytest.MonkeyPatch, *, replicates: bool
) -> None:
    if not replicates:
        monkeypatch.setattr(shard_move, "_not_replicated_because", lambda _: "no")
    publish(database, "0")
    published, statement, is_killed = 1, 1, True
    while is_killed:
        (source,) = locations(config, 1)
        target = "db2" if source == "db1" else "db1"
        is_killed = move_killed_before(monkeypatch, statement, config, 1, target)
        found = locations(config, 1)
        if found:
            publish(database, str(published))
            published += 1
        move(config, 1, target)

        assert len(found) <= 1
        assert locations(config, 1) == [target]
        assert versions(database) == [str(number) for number in range(published)]
        assert leftovers(config) == []
        statement += KILL_STEP
    assert statement > 20


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([100], 1),
        ([4_000, 2_000, 50], 3),
        ([4_000, 2_000, 2_000], 3),  # writers are as fast as the move
        ([10_000, 10_000, 10_000, 20], 4),  # a backlog
    ],
)
def test_the_tables_are_locked_when_batches_are_small_or_stop_shrinking(batches: list[int], expected: int) -> None:
    decisions = [shard_move_steps.is_lockable(*pair) for pair in zip(batches, [None, *batches], strict=False)]

    assert decisions.index(True) + 1 == expected


def test_between_the_two_parts_of_the_switch_calls_wait(
    config: PostgreSQLConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_move.Mover, "execute", stop_before(Step.ACTIVATE))
    with pytest.raises(InterruptedError):
        move(config, 1, "db2")
    monkeypatch.undo()

    monkeypatch.setattr(retry, "_MOVE_POLL", 60.0)
    with connect_to(config._replace(deadline=30.0)) as hasty, pytest.raises(UnavailableError) as caught:
        publish(hasty)
    create_tables(config.location, shards=2)

    assert caught.value.code == "ShardMoving"
    assert locations(config, 1) == []
    move(config, 1, "db2")
    with connect_to(config) as database:
        publish(database)
    assert locations(config, 1) == ["db2"]


def stop_before(stop: Step) -> Any:
    execute_step = shard_move.Mover.execute

    def run(self: shard_move.Mover, step: Step) -> None:
        if step is stop:
            raise InterruptedError
        execute_step(self, step)

    return run


def test_an_unfinished_move_can_be_cancelled(
    config: PostgreSQLConfig, database: TDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(database)
    monkeypatch.setattr(shard_move.Mover, "execute", stop_before(Step.SWITCH))
    with pytest.raises(InterruptedError):
        move(config, 1, "db2")
    monkeypatch.undo()

    move(config, 1, "db1")

    assert locations(config, 1) == ["db1"]
    assert leftovers(config) == []
    assert versions(database) == ["1"]


@pytest.mark.parametrize(
    ("method", "damage"),
    [("_verify_snapshot", "UPDATE moving0001.specs SET model_count = 2"), ("_verify", "DELETE FROM moving0001.specs")],
)
def test_a_copy_that_differs_is_refused(
    config: PostgreSQLConfig, database: TDatabase, monkeypatch: pytest.MonkeyPatch, method: str, damage: str
) -> None:
    publish(database)
    verify = getattr(shard_move.Mover, method)

    def damage_first(self: shard_move.Mover, *arguments: Any) -> None:
        self.target.execute(f"{damage} WHERE updated_at_id LIKE 'latest%'")
        verify(self, *arguments)

    monkeypatch.setattr(shard_move.Mover, method, damage_first)

    with pytest.raises(RefusedError, match="specs of shard 1 differs on db1 and db2; the shard stays on db1") as caught:
        move(config, 1, "db2")

    assert caught.value.code == "CopyDiffers"
    publish(database, "2")
    assert locations(config, 1) == ["db1"]


def test_a_schema_with_a_view_is_refused(config: PostgreSQLConfig) -> None:
    execute(config.servers[0].conninfo, "CREATE VIEW shard0001.everything AS SELECT 1 AS one")

    with pytest.raises(RefusedError, match="which a move does not copy: everything"):
        move(config, 1, "db2")


@pytest.mark.parametrize(
    ("shard", "target", "message"),
    [(3, "db2", "the database has the shards 1 to 2, not 3"), (1, "db3", "--to must be one of")],
)
def test_a_wrong_shard_or_server_is_a_configuration_error(
    config: PostgreSQLConfig, shard: int, target: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        move(config, shard, target)


def test_two_commands_do_not_move_from_one_server_at_once(
    config: PostgreSQLConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("open_alchemy.package_database.engines.postgresql.admin_connection._LOCK_WAIT", "10ms")
    with psycopg.connect(config.servers[0].conninfo) as connection:
        connection.execute("SELECT pg_advisory_lock(7230116, 2)")

        with pytest.raises(RefusedError, match="another command moves a shard from or to db1"):
            move(config, 1, "db2")


def test_the_commands_list_and_move(config: PostgreSQLConfig, database: TDatabase) -> None:
    publish(database)
    url = config.location

    listed = CliRunner().invoke(commands, ["shards", "--json", "--url", url])
    moved = CliRunner().invoke(commands, ["shards", "move", "1", "--to", "db2", "--url", url])
    table = CliRunner().invoke(commands, ["shards", "--url", url])
    refused = CliRunner().invoke(commands, ["shards", "move", "1", "--to", "db9", "--url", url])
    other = CliRunner().invoke(commands, ["shards", "--url", f"sqlite:///{os.devnull}"])

    first, second = json.loads(listed.stdout)
    assert (first["shard"], first["server"], first["rows"] > 0, first["bytes"] > 0) == (1, "db1", True, True)
    assert (second["shard"], second["server"], second["rows"], second["moves_to"]) == (2, "db2", 0, None)
    assert moved.exit_code == 0, moved.output
    assert "shard 1 is on db2" in moved.stderr
    assert [line.split("\t")[:2] for line in table.stdout.splitlines()] == [["1", "db2"], ["2", "db2"]]
    assert refused.exit_code == 2
    assert "has no shards" in other.output


MOVES, PROCESSES, WRITERS = (20, 4, 4) if is_long() else (2, 2, 2)
"""Writers are those in each process. A long run has more of all."""


def test_writers_in_processes_lose_and_double_nothing_while_a_shard_moves(
    config: PostgreSQLConfig, database: TDatabase
) -> None:
    users = [sub for sub in map(str, range(100)) if shard_of(sub, 2) == 1][:WRITERS]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "tests.postgresql.writer",
                        config.location,
                        str(n * WRITERS),
                        str(WRITERS),
                        *users,
                    ],
                    env={**os.environ, "PACKAGE_DATABASE_DEADLINE": "60"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for n in range(PROCESSES)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for number in range(MOVES):
            move(config, 1, "db2" if number % 2 == 0 else "db1")
        results = [result for process in processes for result in json.loads(process.communicate()[0])]

    longest = max(result["longest"] for result in results)
    print(f"{MOVES} moves: {sum(len(result['acknowledged']) for result in results)} writes, pause {longest:.2f} s")  # noqa: T201 (shown with -s)
    assert [error for result in results for error in result["errors"]] == []
    for sub in users:
        stored = [info["version"] for info in database.list_spec_versions(sub=sub, name="a")]
        acknowledged = [version for result in results if result["sub"] == sub for version in result["acknowledged"]]
        assert sorted(stored) == sorted(acknowledged)
    assert all(result["acknowledged"] for result in results)
    assert leftovers(config) == []


def test_the_command_repairs_only_stores_with_shards(config: PostgreSQLConfig, tmp_path: Path) -> None:
    repaired = CliRunner().invoke(commands, ["tables", "repair", "--url", config.location])
    other = CliRunner().invoke(commands, ["tables", "repair", "--url", f"sqlite:///{tmp_path}/a.db"])

    assert (repaired.exit_code, other.exit_code) == (0, 0)
    assert "deleted 0 stale entries" in repaired.stderr
    assert "has nothing to repair" in other.stderr
