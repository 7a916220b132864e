"""The command ``copy``, between stores of the same kind and of different kinds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from open_alchemy import package_database
from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.admin.table_client import AdminClient
from open_alchemy.package_database.cli import copy
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Item, Page, Put, Scan, Transact
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.keys import LATEST, padded, record_keys
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES
from open_alchemy.package_database.testing import dynamodb_server
from tests.apis import execute
from tests.canary import HASH, SALT, find
from tests.postgresql.databases import create_database, create_tables

USERS = 15


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ("copy", *arguments))


def succeed(*arguments: str) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert find(result.output) == []
    return result


def fill(database: TDatabase, users: int = USERS) -> None:
    for number in range(users):
        for version in ("1.0", "2.0"):
            database.create_update_spec(sub=f"u{number}", name="é.Spec", version=version, model_count=number)
        store_credentials(database, f"u{number}")


def store_credentials(database: TDatabase, sub: str, secret: bytes = HASH) -> None:
    database.create_update_credentials(sub=sub, id_="laptop", public_key=f"pk-{sub}", secret_key_hash=secret, salt=SALT)


def contents(database: TDatabase) -> list[object]:
    return [
        (
            database.list_specs(sub=f"u{number}"),
            database.list_spec_versions(sub=f"u{number}", name="é.Spec"),
            database.get_user(public_key=f"pk-u{number}"),
        )
        for number in range(USERS)
    ]


def contents_at(url: str) -> list[object]:
    with package_database.connect(url) as database:
        return contents(database)


@pytest.fixture
def first(tmp_path: Path) -> str:
    """The URL of a SQLite file with items."""
    url = f"sqlite:///{tmp_path / 'first.db'}"
    with package_database.connect(url) as database:
        fill(database)
    return url


@pytest.fixture
def server(_database: str, _clean_specs_table: None, _clean_credentials_table: None) -> str:
    """The URL of a DynamoDB with empty tables, which ``get()`` uses too."""
    return f"dynamodb://{_database.removeprefix('http://')}"


@pytest.fixture
def second(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist."""
    return f"sqlite:///{tmp_path / 'second.db'}"


def test_items_copied_to_another_kind_of_store_and_back_are_equal(first: str, second: str, server: str) -> None:
    there = succeed(first, server)
    back = succeed(server, second)

    assert contents(package_database.get()) == contents_at(first) == contents_at(second)
    checksums = [result.stderr.partition("verified: ")[2] for result in (there, back)]
    assert checksums[0] == checksums[1]
    assert checksums[0].startswith(f"versions: {2 * USERS}, credentials: {USERS}, checksum ")


USERS_OF_A_LARGE_STORE = int(os.environ.get("TEST_COPY_USERS", "1000"))
ITEMS_PER_USER = 100
"""The most of one transaction: 49 specs with a version and the latest record, and 2 credentials."""


@pytest.fixture
def large_servers() -> Iterator[tuple[str, str]]:
    """The URLs of two DynamoDBs with empty tables: one with the items of a large store takes long to clear."""
    with dynamodb_server.run() as first, dynamodb_server.run() as second:
        urls = [f"dynamodb://{url.removeprefix('http://')}" for url in (first, second)]
        for url in urls:
            administration = from_url(url, {}).open_engine(TABLES).administration()
            for table in TABLES:
                administration.create(table)
        yield urls[0], urls[1]


def fill_large(url: str) -> None:
    engine = from_url(url, {"PACKAGE_DATABASE_DEADLINE": "600"}).open_engine(TABLES)
    engine.prepare()
    for number in range(USERS_OF_A_LARGE_STORE):
        engine.execute(Transact(tuple(puts(f"u{number}"))), Deadline(600))
    engine.close()


def puts(sub: str) -> Iterator[Put]:
    for number in range(49):
        id_ = f"spec-{number}"
        common: Item = {"sub": sub, "id": id_, "name": id_, "updated_at": "5", "version": "1", "model_count": number}
        for moment in (padded(5), LATEST):
            yield Put(SPECS, {**common, "revision": "0" * 32, **record_keys(moment, id_)})
    for id_ in ("1", "2"):
        item: Item = {"sub": sub, "id": id_, "public_key": f"{sub} {id_}", "secret_key_hash": HASH, "salt": SALT}
        yield Put(CREDENTIALS, {**item, "encoding": "raw"})


def measure_copy(source: str, target: str) -> str:
    """Copies in a separate process, prints its figures, and returns the checksum that it prints."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "open_alchemy.package_database.cli", "copy", source, target]
    # A local DynamoDB on a busy machine may need more than the seconds of the default deadline.
    variables = {"PACKAGE_DATABASE_DEADLINE": "600", **os.environ}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables)
    assert process.stderr is not None
    printed = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    assert process.returncode == 0, printed
    seconds, memory = time.monotonic() - begin, usage.ru_maxrss // 1024
    rate = USERS_OF_A_LARGE_STORE * ITEMS_PER_USER / seconds
    stores = " to ".join(url.partition(":")[0] for url in (source, target))
    figures = f"{stores}: {seconds:.0f} s, {rate:,.0f} items/s, CPU {usage.ru_utime:.0f} s, {memory} MB"
    print(figures, flush=True)  # noqa: T201 (shown with -s)
    return printed.partition("verified: ")[2]


@pytest.mark.long
def test_100_000_items_copied_through_every_kind_of_store_are_equal(
    second: str, large_servers: tuple[str, str], postgresql_servers: tuple[str, str]
) -> None:
    first, last = large_servers
    middle = create_database(postgresql_servers[0])
    create_tables(middle, shards=4)
    fill_large(first)

    checksums = {measure_copy(*stores) for stores in pairwise((first, middle, second, last))}

    assert len(checksums) == 1
    versions, credentials = 49 * USERS_OF_A_LARGE_STORE, 2 * USERS_OF_A_LARGE_STORE
    assert checksums.pop().startswith(f"versions: {versions}, credentials: {credentials}, checksum ")


def test_a_repeated_copy_changes_nothing(first: str, second: str, tmp_path: Path) -> None:
    succeed(first, second)

    again = succeed(first, second)

    counts = f"{3 * USERS} versions and credentials: 0 added, {3 * USERS} already stored, 0 different (not changed)"
    assert f"{tmp_path / 'second.db'}: {counts}\n" in again.stderr


def test_an_interrupted_copy_is_continued(first: str, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, wanted = AdminClient.read, iter([True, False])

    def interrupt(self: AdminClient, scan: Scan) -> Page:
        if not next(wanted):
            raise KeyboardInterrupt
        return read(self, scan)

    with monkeypatch.context() as patch:
        patch.setattr(AdminClient, "read", interrupt)
        interrupted = run(first, second)
    goes_on = succeed(first, second)

    assert interrupted.exit_code == 130
    assert interrupted.stderr == "interrupted: run the same command to copy the rest\n"
    assert "already stored" in goes_on.stderr
    assert ", 0 already stored" not in goes_on.stderr
    assert contents_at(second) == contents_at(first)


def test_different_stored_items_are_kept_and_listed(first: str, second: str, tmp_path: Path) -> None:
    with package_database.connect(second) as database:
        store_credentials(database, "u1", b"newer")

    result = run(first, second)

    assert result.exit_code == 1
    item = "the item of package.credentials with sub 'u1', id 'laptop'"
    assert f"not imported from {tmp_path / 'first.db'}: {item}: the stored item" in result.stderr
    assert "Error: 1 item not imported" in result.stderr
    with package_database.connect(second) as database:
        user = database.get_user(public_key="pk-u1")
    assert user is not None
    assert user.secret_key_hash == b"newer"


def test_credentials_whose_public_key_others_have_are_not_copied(first: str, second: str) -> None:
    with package_database.connect(second) as database:
        database.create_update_credentials(
            sub="other", id_="1", public_key="pk-u1", secret_key_hash=b"others", salt=b"others"
        )

    result = run(first, second)

    assert result.exit_code == 1
    assert "the item of package.credentials with sub 'u1', id 'laptop': the stored item with its key" in result.stderr
    assert "Error: 1 item not imported" in result.stderr
    assert find(result.output) == []
    with package_database.connect(second) as database:
        assert [database.get_user(public_key=f"pk-u{number}").sub for number in range(3)] == ["u0", "other", "u2"]  # type: ignore[union-attr]


def test_a_target_with_more_items_differs(first: str, second: str) -> None:
    with package_database.connect(second) as database:
        database.create_update_spec(sub="other", name="a", version="1", model_count=1)

    result = run(first, second)

    assert result.exit_code == 1
    assert f"FROM_URL and TO_URL differ: versions of specs: {2 * USERS} and {2 * USERS + 1}\n" in result.stderr
    assert "Error: the stores differ" in result.stderr
    assert contents_at(second) == contents_at(first)


def test_a_lost_item_is_detected(first: str, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    every = copy.entries  # type: ignore[attr-defined]
    monkeypatch.setattr(copy, "entries", lambda read: (entry for entry in every(read) if entry.item["sub"] != "u3"))

    result = run(first, second)

    assert result.exit_code == 1
    assert f"differ: credentials: {USERS} and {USERS - 1}\n" in result.stderr


def test_an_attribute_without_a_column_is_refused_and_not_dropped(second: str, server: str) -> None:
    item: Item = {"sub": "u1", "id": "1", "public_key": "pk", "secret_key_hash": HASH, "salt": SALT, "color": "red"}
    execute(package_database.get(), Transact((Put(CREDENTIALS, item),)))

    result = run(server, second)

    assert result.exit_code == 1
    assert "credentials with sub 'u1', id '1' has attributes without a column: 'color'" in result.stderr
    assert "interrupted: run the same command to copy the rest" in result.stderr
    assert find(result.output) == []


def as_it_is(path: Path) -> Path:
    return path


def through_a_link(path: Path) -> Path:
    link = path.with_name("link.db")
    link.symlink_to(path)
    return link


def through_a_folder(path: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


@pytest.mark.parametrize("other", [as_it_is, through_a_link, through_a_folder])
def test_source_and_target_must_differ(first: str, tmp_path: Path, other: Callable[[Path], Path]) -> None:
    result = run(first, f"sqlite:///{other(tmp_path / 'first.db')}")

    assert result.exit_code == 2
    assert f"FROM_URL and TO_URL are the same store: {tmp_path / 'first.db'}" in result.stderr


def test_two_servers_are_two_stores_and_equal_urls_are_the_same_store() -> None:
    assert "are the same store" in run("dynamodb://localhost:1", "dynamodb://localhost:1").stderr
    assert "are the same store" not in run("sqlite://", "dynamodb://localhost:1").stderr


def test_a_copy_to_memory_is_refused(first: str) -> None:
    result = run(first, "sqlite://")

    assert result.exit_code == 2
    assert "Error: TO_URL is sqlite://, which is in memory and ends with this command\n" in result.stderr


def test_a_source_that_does_not_exist_is_not_created(first: str, second: str, tmp_path: Path) -> None:
    result = run(second, first)

    assert result.exit_code == 1
    assert f"package.specs and package.credentials do not exist at {tmp_path / 'second.db'}" in result.stderr
    assert not (tmp_path / "second.db").exists()


@pytest.mark.parametrize(
    ("source", "target", "named"), [("x://canary", "sqlite://", "FROM_URL"), ("sqlite://", "canary", "TO_URL")]
)
def test_an_invalid_url_exits_with_2_and_is_not_printed(source: str, target: str, named: str) -> None:
    result = run(source, target)

    assert result.exit_code == 2
    assert f"{named} is not a database URL" in result.stderr
    assert "canary" not in result.stderr


def test_a_source_that_refuses_describe_table_is_copied(
    first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, table: object) -> None:
        raise package_database.RefusedError("no")

    monkeypatch.setattr(
        "open_alchemy.package_database.engines.sqlite.administration.SQLiteAdministration.describe", refuse
    )

    succeed(first, second)

    assert contents_at(second) == contents_at(first)
