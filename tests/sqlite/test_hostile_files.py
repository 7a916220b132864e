"""Whatever a file contains, every function of both APIs returns, or raises an error that shows no secret."""

from __future__ import annotations

import itertools
import sqlite3
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_alchemy import package_database
from open_alchemy.package_database import BaseError, TDatabase
from open_alchemy.package_database.model.schema import TABLES
from tests.apis import blocking
from tests.canary import HASH, SALT, find

EXAMPLES = 20
LONG_EXAMPLES = 10_000
PAGE_SIZE = 4096

SPEC = {"sub": "u1", "name": "a"}
ONE = {"sub": "u1", "id_": "1"}
SECRETS = {"secret_key_hash": HASH, "salt": SALT}
CALLS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("count_customer_models", {"sub": "u1"}),
    ("get_latest_spec_version", SPEC),
    ("list_specs", {"sub": "u1"}),
    ("iter_specs", {"sub": "u1"}),
    ("iter_spec_snapshots", {"sub": "u1"}),
    ("get_spec_snapshot", SPEC),
    ("update_spec", {**SPEC, "revision": "r", "version": "2.0", "model_count": 1}),
    ("get_spec", SPEC),
    ("list_spec_versions", SPEC),
    ("list_credentials", {"sub": "u1"}),
    ("get_credentials", ONE),
    ("get_user", {"public_key": "pk 1"}),
    ("create_update_spec", {**SPEC, "version": "2.0", "model_count": 1}),
    ("create_update_credentials", {**ONE, **SECRETS, "public_key": "pk 1"}),
    ("create_update_credentials", {**SECRETS, "sub": "u1", "id_": "2", "public_key": "pk 2"}),
    ("delete_spec", SPEC),
    ("delete_credentials", ONE),
    ("delete_all_specs", {"sub": "u1"}),
    ("delete_all_credentials", {"sub": "u1"}),
    ("delete_all", {"sub": "u1"}),
)

# Literals of SQL. The canaries are bytes, or text that is not UTF-8: neither can be a key that an error names.
CANARIES = (f"x'{HASH.hex()}'", f"CAST(x'{HASH.hex()}ff' AS TEXT)")
VALUES = (
    "NULL",
    "1.5",
    "1e300",
    "-1",
    "9223372036854775807",
    "''",
    "'5.0'",
    "'latest'",
    "'" + "9" * 30 + "'",
    "'a'",
    "x''",
    "CAST(x'00' AS TEXT)",
    "zeroblob(9000)",
)


@st.composite
def changes(draw: st.DrawFn) -> list[str]:
    """Statements that change values, rows, columns, indexes and tables."""
    table = draw(st.sampled_from(TABLES))
    column = draw(st.sampled_from([attribute.name for attribute in table.attributes]))
    name, value = f'"{table.name}"', draw(st.sampled_from(CANARIES) | st.sampled_from(VALUES))
    key = f"{table.partition_key}, {table.sort_key}"
    index = f'"{table.name}.{table.indexes[0].name}"'
    others = draw(st.lists(st.sampled_from(VALUES), min_size=2, max_size=2))
    changed = f'UPDATE OR REPLACE {name} SET "{column}" = {value}'  # noqa: S608 (constants)
    possible = [
        [changed],
        [f"{changed} WHERE sub = (SELECT min(sub) FROM {name})"],  # noqa: S608 (constants)
        [f"INSERT OR REPLACE INTO {name} ({key}) VALUES ('u1', {value})"],  # noqa: S608 (constants)
        [f"INSERT OR REPLACE INTO {name} ({key}) VALUES ({', '.join(others)})"],  # noqa: S608 (constants)
        [f"DROP TABLE {name}"],
        [f"DROP INDEX {index}"],
        [f"DROP INDEX {index}", f'ALTER TABLE {name} RENAME COLUMN "{column}" TO other'],
        [f"DROP TABLE {name}", f"CREATE VIEW {name} AS SELECT 1 AS sub, {value} AS id"],
        [f'ALTER TABLE {name} ADD COLUMN "also" NOT NULL DEFAULT {value}'],
        [f"PRAGMA user_version = {draw(st.sampled_from([0, 1, 2, -1]))}"],
    ]
    # Most changes are of a value; the others make most calls fail at once.
    return draw(st.just(possible[0]) | st.sampled_from(possible))


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Functions that truncate a file, or overwrite, flip or exchange parts of it."""
    place = draw(st.floats(0, 1, exclude_max=True))
    mask = draw(st.integers(1, 255))
    kind = draw(st.sampled_from(["truncate", "truncate to a page", "flip", "flip in header", "overwrite", "exchange"]))

    def damage(content: bytes) -> bytes:
        at = int(place * len(content))
        page = at - at % PAGE_SIZE
        match kind:
            case "truncate":
                return content[:at]
            case "truncate to a page":
                return content[:page]
            case "overwrite":
                return content[:page] + bytes([mask]) * PAGE_SIZE + content[page + PAGE_SIZE :]
            case "exchange":
                return content[:page] + content[-PAGE_SIZE:] + content[page + PAGE_SIZE :]
            case _:
                at = at % 100 if kind == "flip in header" else at
                return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]

    return damage


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a file with specs and credentials of two users, on several pages."""
    path = tmp_path_factory.mktemp("template") / "a.db"
    with package_database.connect(f"sqlite:///{path}") as database:
        for sub, version in itertools.product(("u1", "u2"), ("1.0", "2.0")):
            database.create_update_spec(sub=sub, name="a", version=version, model_count=1, description="x" * 3_000)
        for number in (1, 2):
            database.create_update_credentials(sub=f"u{number}", id_="1", public_key=f"pk {number}", **SECRETS)
    return path.read_bytes()


def texts_of(error: BaseException) -> str:
    """Returns an error, those that it refers to, and the local variables of the package's frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True, lookup_lines=False)
    chain = [error, error.__cause__, error.__context__]
    return "".join(map(repr, chain)) + "".join(str(f.locals) for f in shown.stack if "/tests/" not in f.filename)


def call_all(path: Path, *, is_async: bool) -> None:
    """Calls every function; any exception except the package's ends the test."""
    with ExitStack() as stack:
        database: TDatabase
        if is_async:
            database = stack.enter_context(blocking(package_database.aconnect(f"sqlite:///{path}"), loop_factory=None))
        else:
            database = stack.enter_context(package_database.connect(f"sqlite:///{path}"))
        for name, arguments in CALLS:
            try:
                result = getattr(database, name)(**arguments)
                if name.startswith("iter_"):
                    list(result)
            except BaseError as error:
                found = find(texts_of(error))
                assert found == [], name


def check_rows(folder: Path, template: bytes, statements: Sequence[Sequence[str]], *, is_async: bool) -> None:
    path = new_file(folder, template)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in itertools.chain.from_iterable(statements):
            try:
                connection.execute(statement)
            except sqlite3.Error:
                break  # Of a table or a column that an earlier statement removed.
    call_all(path, is_async=is_async)


def check_bytes(folder: Path, template: bytes, found: Sequence[Callable[[bytes], bytes]], *, is_async: bool) -> None:
    for damage in found:
        template = damage(template) or template
    call_all(new_file(folder, template), is_async=is_async)


def new_file(folder: Path, content: bytes) -> Path:
    for existing in folder.iterdir():
        existing.unlink()
    path = folder / "a.db"
    path.write_bytes(content)
    return path


rows = given(statements=st.lists(changes(), min_size=1, max_size=3), is_async=st.booleans())
parts = given(found=st.lists(damages(), min_size=1, max_size=3), is_async=st.booleans())
ordinary = settings(max_examples=EXAMPLES)
exhaustive = settings(max_examples=LONG_EXAMPLES)


@ordinary
@rows
def test_any_rows(tmp_path: Path, template: bytes, statements: list[list[str]], *, is_async: bool) -> None:
    check_rows(tmp_path, template, statements, is_async=is_async)


@ordinary
@parts
def test_any_bytes(tmp_path: Path, template: bytes, found: list[Any], *, is_async: bool) -> None:
    check_bytes(tmp_path, template, found, is_async=is_async)


@pytest.mark.long
@exhaustive
@rows
def test_any_rows_at_length(tmp_path: Path, template: bytes, statements: list[list[str]], *, is_async: bool) -> None:
    check_rows(tmp_path, template, statements, is_async=is_async)


@pytest.mark.long
@exhaustive
@parts
def test_any_bytes_at_length(tmp_path: Path, template: bytes, found: list[Any], *, is_async: bool) -> None:
    check_bytes(tmp_path, template, found, is_async=is_async)


def test_every_function_is_called() -> None:
    functions = {name for name in vars(TDatabase) if not name.startswith("_")}

    assert {name for name, _ in CALLS} == functions
