"""Tables are declared or reflected, once for each instance."""

from __future__ import annotations

import threading
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import transaction
from sqlalchemy import Column, Integer, Table, text

from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.exceptions import NotFoundError, RefusedError, UnavailableError
from open_alchemy.package_database.instances.api import use
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.sqlalchemy import get_session, get_table, metadata


@pytest.fixture
def reflections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tables that are reflected during a test."""
    names: list[str] = []

    def reflect(name: str, *arguments: Any, **options: Any) -> Table:
        names.append(name)
        return Table(name, *arguments, **options)

    monkeypatch.setattr("open_alchemy.package_database.sqlalchemy.database.Table", reflect)
    return names


def test_a_table_is_reflected_once(instance: Instance, reflections: list[str]) -> None:
    first, again = get_table("notes"), get_table("notes")

    assert first is again
    assert [column.name for column in first.columns] == ["id", "text", "deleted"]
    assert reflections == ["notes"]


def test_32_threads_reflect_a_table_once(instance: Instance, reflections: list[str]) -> None:
    barrier = threading.Barrier(32)
    tables: list[Table] = []

    def work() -> None:
        barrier.wait()
        tables.append(get_table("notes"))

    threads = [threading.Thread(target=copy_context().run, args=(work,)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tables) == 32
    assert len(set(map(id, tables))) == 1
    assert len(tables[0].columns) == 3
    assert reflections == ["notes"]


def test_a_table_is_reflected_while_sessions_use_all_connections(one_phase_instance: Instance) -> None:
    managers = [transaction.TransactionManager() for _ in range(10)]
    try:
        for manager in managers:
            get_session(manager=manager).execute(text("SELECT 1"))
        assert get_table("notes").name == "notes"
    finally:
        for manager in managers:
            manager.abort()


def test_each_instance_has_tables_of_its_own(sqlite_instance: Instance, tmp_path: Path) -> None:
    notes = get_table("notes")

    with use(Instance(from_url(f"sqlite:///{tmp_path}/other.db", {}))):
        with pytest.raises(NotFoundError, match="no table notes"):
            get_table("notes")
        get_session().execute(text("CREATE TABLE notes (other INTEGER PRIMARY KEY)"))
        transaction.commit()
        other = get_table("notes")

    assert list(other.columns.keys()) == ["other"]
    assert get_table("notes") is notes


def test_a_declared_table_is_returned_without_reflection(sqlite_instance: Instance) -> None:
    declared = Table("declared", metadata, Column("id", Integer, primary_key=True))
    try:
        assert get_table("declared") is declared
    finally:
        metadata.remove(declared)


def test_a_qualified_name_is_looked_up_in_its_schema(one_phase_instance: Instance) -> None:
    assert get_table("package_database.settings").schema == "package_database"
    assert get_table("public.notes").schema == "public"


def test_a_missing_table_is_named(instance: Instance) -> None:
    with pytest.raises(NotFoundError, match="no table missing"):
        get_table("missing")


@pytest.mark.parametrize("url", ["dynamodb://eu-west-1", "sqlite://"])
def test_another_store_is_refused(url: str) -> None:
    config = SQLiteConfig() if url == "sqlite://" else from_url(url, {"AWS_ACCESS_KEY_ID": "a"})
    with use(Instance(config)):
        for function in (get_session, lambda: get_table("notes")):
            with pytest.raises(RefusedError, match="a SQLite file or PostgreSQL"):
                function()


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    config = from_url("postgresql://user:canary@127.0.0.1:1/name", {"PACKAGE_DATABASE_DEADLINE": "1"})
    with use(Instance(config)), pytest.raises(UnavailableError) as caught:
        get_session()

    assert "canary" not in str(caught.value)


class TestShards:
    @pytest.fixture
    def users(self, shards_instance: Instance) -> list[str]:
        """Users of both servers."""
        return [f"u{number}" for number in range(8)]

    def test_a_user_is_required_on_many_servers(self, shards_instance: Instance) -> None:
        with pytest.raises(RefusedError, match="sub="):
            get_session()

    def test_a_session_works_in_the_shard_of_its_user(self, users: list[str]) -> None:
        for user in users:
            get_session(sub=user, allow_writes=True).execute(
                text("CREATE TABLE IF NOT EXISTS notes (sub VARCHAR, text VARCHAR)")
            )
            transaction.commit()
            get_session(sub=user).execute(get_table("notes", sub=user).insert(), {"sub": user, "text": f"of {user}"})
        transaction.commit()

        found = {
            user: get_session(sub=user)
            .execute(text("SELECT text FROM notes WHERE sub = :sub"), {"sub": user})
            .scalars()
            for user in users
        }
        schemas = {get_session(sub=user).execute(text("SELECT current_schema()")).scalar() for user in users}

        assert {user: list(texts) for user, texts in found.items()} == {user: [f"of {user}"] for user in users}
        assert schemas == {f"shard000{number}" for number in range(1, 5)}

    def test_unqualified_names_of_a_shard_do_not_reach_other_schemas(self, users: list[str]) -> None:
        with pytest.raises(NotFoundError):
            get_table("settings", sub=users[0])
