"""Files of earlier versions: what opening adds to them, and how a file differs from the schema."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConflictError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import DUPLICATE_KEY, Item, Put, Table, Transact
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.sqlite import schema
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.database_file import connect_to_file, prepare_file
from open_alchemy.package_database.engines.sqlite.engine import open_sqlite
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES
from open_alchemy.package_database.types import TDatabase
from tests.canary import HASH, SALT, find
from tests.sqlite.earlier_file import MAKE_EARLIER, change

NOT_UNIQUE = ["the index publicKey is not unique"]


def store(database: TDatabase, sub: str, public_key: str) -> None:
    database.create_update_credentials(sub=sub, id_="1", public_key=public_key, secret_key_hash=HASH, salt=SALT)


def differences(path: Path, table: Table = CREDENTIALS) -> list[str]:
    with closing(open_sqlite(SQLiteConfig(path), TABLES)) as engine:
        return engine.administration().differences(table)


def stored_differences(path: Path, table: Table = CREDENTIALS) -> list[str]:
    """Returns the differences of a file that is not opened by the package."""
    with closing(sqlite3.connect(path)) as connection:
        return schema.differences(connection, table)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed file with the specs and credentials of one user."""
    found = tmp_path / "a.db"
    with package_database.connect(f"sqlite:///{found}") as database:
        database.create_update_spec(sub="u1", name="a", version="1.0", model_count=1)
        store(database, "u1", "pk 1")
    return found


@pytest.fixture
def earlier(path: Path) -> Path:
    """The same as an earlier version created it."""
    change(path, MAKE_EARLIER)
    assert stored_differences(path) == ["the column encoding is missing", *NOT_UNIQUE]
    return path


def test_a_file_of_an_earlier_version_is_upgraded_when_it_is_opened(earlier: Path) -> None:
    with package_database.connect(f"sqlite:///{earlier}") as database:
        store(database, "u2", "pk 2")

        assert [database.get_user(public_key=f"pk {number}").sub for number in (1, 2)] == ["u1", "u2"]  # type: ignore[union-attr]
    assert stored_differences(earlier) == []


def test_threads_with_connections_of_their_own_upgrade_a_file_at_once(earlier: Path) -> None:
    together = threading.Barrier(4)

    def open_and_store(number: int) -> None:
        together.wait(60)
        with package_database.connect(f"sqlite:///{earlier}") as database:
            store(database, f"u{number}", f"pk {number}")

    threads = [threading.Thread(target=open_and_store, args=(number,)) for number in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with closing(sqlite3.connect(earlier)) as connection:
        stored = connection.execute('SELECT sub, encoding FROM "package.credentials" ORDER BY sub').fetchall()
    assert stored == [("u1", None), *((f"u{number}", "raw") for number in range(2, 6))]
    assert stored_differences(earlier) == []


def test_an_upgrade_that_another_process_completed_first_changes_nothing(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = schema.transaction

    def upgrade_elsewhere(connection: sqlite3.Connection) -> object:
        monkeypatch.undo()
        prepare_file(earlier, TABLES)
        return begin(connection)

    monkeypatch.setattr(schema, "transaction", upgrade_elsewhere)
    with closing(connect_to_file(earlier)) as connection:
        schema.upgrade_tables(connection, TABLES)

    assert stored_differences(earlier) == []


def test_a_file_without_differences_is_opened_without_the_write_lock(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert differences(path) == []


def test_an_index_with_duplicates_stays_and_the_columns_are_added(earlier: Path) -> None:
    change(earlier, [duplicate("u2")])

    assert differences(earlier) == NOT_UNIQUE


def duplicate(sub: str) -> str:
    columns = "id, public_key, secret_key_hash, salt"
    return (
        f"INSERT INTO \"package.credentials\" (sub, {columns}) SELECT '{sub}', {columns} "  # noqa: S608 (a test)
        "FROM \"package.credentials\" WHERE sub = 'u1'"
    )


def test_duplicates_are_conflicts_until_they_are_deleted_and_other_keys_work(
    earlier: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(earlier, [duplicate("u2")])

    with package_database.connect(f"sqlite:///{earlier}") as database:
        store(database, "u3", "pk 3")
        assert database.get_user(public_key="pk 3") is not None
        with caplog.at_level(logging.ERROR), pytest.raises(ConflictError, match=r"2 credentials .*'pk 1'"):
            database.get_user(public_key="pk 1")
        database.delete_credentials(sub="u2", id_="1")

    assert [record.getMessage() for record in caplog.records] == [
        "the credentials '1' of 'u1', '1' of 'u2' have the same public_key 'pk 1'"
    ]
    assert find(caplog.text) == []
    assert differences(earlier) == []


def test_the_unique_index_refuses_a_public_key_that_other_credentials_have(path: Path) -> None:
    item: Item = {"sub": "u2", "id": "1", "public_key": "pk 1", "secret_key_hash": Secret(HASH), "salt": Secret(SALT)}
    with closing(open_sqlite(SQLiteConfig(path), TABLES)) as engine:
        engine.prepare()
        with pytest.raises(ConflictError) as caught:
            # Not through an access pattern, which reads the index first.
            engine.execute(Transact((Put(CREDENTIALS, item),)), Deadline(5))
    with package_database.connect(f"sqlite:///{path}") as database:
        user = database.get_user(public_key="pk 1")

    assert str(caught.value) == "Transact on package.credentials: another item has the same public_key"
    assert (caught.value.code, caught.value.attempts) == (DUPLICATE_KEY, 1)
    assert find(f"{caught.value!r} {caught.value.__cause__!r}") == []
    assert user is not None
    assert user.sub == "u1"


CHANGES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "nothing": ([], []),
    "another spelling of the same table": (
        [
            'DROP TABLE "package.specs"',
            (
                'create table "package.specs" (id TEXT, sub TEXT, name TEXT, updated_at TEXT, version TEXT, '
                "title TEXT, model_count INTEGER, description TEXT, revision TEXT, updated_at_id TEXT, "
                "id_updated_at TEXT, other TEXT, "
                "primary key (sub, updated_at_id)) without rowid"
            ),
            'create index "package.specs.idUpdatedAt" on "package.specs" (sub, id_updated_at)',
        ],
        [],
    ),
    "an index is missing": (['DROP INDEX "package.specs.idUpdatedAt"'], ["the index idUpdatedAt is missing"]),
    "an index has another key": (
        [
            'DROP INDEX "package.specs.idUpdatedAt"',
            'CREATE UNIQUE INDEX "package.specs.idUpdatedAt" ON "package.specs" (name, updated_at_id)',
        ],
        [
            "the key of the index idUpdatedAt is (name, updated_at_id) instead of (sub, id_updated_at)",
            "the index idUpdatedAt is unique",
        ],
    ),
    "an index of some items": (
        [
            'DROP INDEX "package.specs.idUpdatedAt"',
            'CREATE INDEX "package.specs.idUpdatedAt" ON "package.specs" (sub, id_updated_at) WHERE title IS NULL',
        ],
        ["the index idUpdatedAt is missing"],
    ),
    "a required column is missing": (
        ['ALTER TABLE "package.specs" RENAME COLUMN version TO other'],
        ["the column version is missing"],
    ),
    "the table is missing": (['DROP TABLE "package.specs"'], ["the table is missing"]),
    "the table has another key and type": (
        [
            'ALTER TABLE "package.specs" DROP COLUMN model_count',
            'ALTER TABLE "package.specs" ADD COLUMN model_count TEXT',
            'CREATE TABLE other AS SELECT * FROM "package.specs"',
            'DROP TABLE "package.specs"',
            'ALTER TABLE other RENAME TO "package.specs"',
            'CREATE INDEX "package.specs.idUpdatedAt" ON "package.specs" (sub, id_updated_at)',
        ],
        [
            "the column model_count has the type TEXT instead of INTEGER",
            "the primary key is () instead of (sub, updated_at_id)",
        ],
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_difference_from_the_schema_is_a_sentence(path: Path, kind: str) -> None:
    changes, expected = CHANGES[kind]
    change(path, changes)

    assert differences(path, SPECS) == expected
