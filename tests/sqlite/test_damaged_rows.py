"""Whatever a file contains, callers get an error of the package that names item and attribute, and no secret."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConflictError, RefusedError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Scan
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_sqlite
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES
from open_alchemy.package_database.types import TConnectedDatabase
from tests.canary import HASH, SALT, find

CANARY_TEXT = "X'" + HASH.hex() + "ff'"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def database(path: Path) -> Iterator[TConnectedDatabase]:
    with package_database.connect(f"sqlite:///{path}") as opened:
        opened.create_update_spec(sub="u1", name="a", version="1.0", model_count=1)
        store(opened, "u1", "pk 1")
        yield opened


def store(database: TConnectedDatabase, sub: str, public_key: str) -> None:
    database.create_update_credentials(sub=sub, id_="1", public_key=public_key, secret_key_hash=HASH, salt=SALT)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def texts_of(error: BaseException) -> str:
    """Returns an error, those that it refers to, and the local variables of the package's frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    chain = [error, error.__cause__, error.__context__]
    return "".join(map(repr, chain)) + "".join(str(f.locals) for f in shown.stack if f.filename != __file__)


DAMAGES = {
    "a text that is not UTF-8": ("version", f"CAST({CANARY_TEXT} AS TEXT)"),
    "bytes in the place of a text": ("name", CANARY_TEXT),
    "a fraction": ("model_count", "1.5"),
    "a text in the place of a number": ("model_count", "'many'"),
    "no value": ("updated_at", "NULL"),
    "a fraction of a second": ("updated_at", "'5.0'"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_value_is_an_error_that_names_the_item_and_the_attribute(
    path: Path, database: TConnectedDatabase, damage: str
) -> None:
    attribute, value = DAMAGES[damage]
    change(path, f'UPDATE "package.specs" SET {attribute} = {value}')  # noqa: S608 (a test)

    with pytest.raises(RefusedError, match=f"'u1'.*{attribute}") as caught:
        database.list_specs(sub="u1")

    assert find(texts_of(caught.value)) == []


def test_no_text_that_is_not_utf8_is_in_an_error(path: Path, database: TConnectedDatabase) -> None:
    change(path, f'UPDATE "package.credentials" SET public_key = CAST({CANARY_TEXT} AS TEXT)')  # noqa: S608 (a test)

    with pytest.raises(RefusedError, match="public_key") as caught:
        database.list_credentials(sub="u1")

    assert find(texts_of(caught.value)) == []
    database.delete_all_credentials(sub="u1")
    assert database.list_credentials(sub="u1") == []


@pytest.mark.parametrize("key", [CANARY_TEXT, f"CAST({CANARY_TEXT} AS TEXT)"])
def test_a_scan_refuses_a_key_that_is_no_text(path: Path, database: TConnectedDatabase, key: str) -> None:
    change(path, f'INSERT INTO "package.credentials" (sub, id) VALUES ({key}, {key}), ({key}, 3)')  # noqa: S608 (a test)

    engine = open_sqlite(SQLiteConfig(path), TABLES)
    engine.prepare()
    with closing(engine), pytest.raises(RefusedError, match="damaged: sub must be text"):
        after: Any = None
        while page := engine.execute(Scan(CREDENTIALS, 1, after), Deadline(5)):
            after = page.after
            assert after is not None


@pytest.mark.parametrize("column", [attribute.name for attribute in SPECS.attributes])
def test_a_missing_column_is_an_error_that_names_it(path: Path, database: TConnectedDatabase, column: str) -> None:
    change(
        path, 'DROP INDEX "package.specs.idUpdatedAt"', f'ALTER TABLE "package.specs" RENAME COLUMN "{column}" TO other'
    )

    calls: list[Callable[[], object]] = [
        lambda: database.create_update_spec(sub="u1", name="a", version="2.0", model_count=1),
        lambda: database.list_spec_versions(sub="u1", name="a"),
        lambda: database.delete_spec(sub="u1", name="a"),
    ]
    if column not in ("revision", "id_updated_at"):
        # Lists do not read these.
        calls += [lambda: database.list_specs(sub="u1")]
    for call in calls:
        with pytest.raises(RefusedError, match=rf"no such column.*\b{column}\b|no column named {column}\b"):
            call()


def test_a_value_beyond_the_limits_is_read(path: Path, database: TConnectedDatabase) -> None:
    change(path, "UPDATE \"package.specs\" SET description = printf('%.*c', 20000000, 'x')")

    assert len(database.list_specs(sub="u1")[0]["description"]) == 20_000_000


def test_the_search_for_a_public_key_reads_no_secret(database: TConnectedDatabase) -> None:
    statements: list[str] = []
    engine: Any = database
    engine.engine.run(lambda connection: connection.set_trace_callback(statements.append), "tracing", Deadline(5))

    store(database, "u1", "pk 1")

    (search,) = [text for text in statements if 'WHERE item."public_key" = ' in text]
    assert search.startswith('SELECT item."sub", item."id" FROM "package.credentials"')


def test_a_public_key_in_use_is_a_conflict(database: TConnectedDatabase) -> None:
    with pytest.raises(ConflictError, match="public_key") as caught:
        store(database, "u2", "pk 1")

    assert find(texts_of(caught.value)) == []
    assert database.list_credentials(sub="u2") == []
    assert database.get_user(public_key="pk 1") is not None
