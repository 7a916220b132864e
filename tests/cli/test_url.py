"""The option ``--url``: every command on any store."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from open_alchemy import package_database
from open_alchemy.package_database.cli import tour
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.database import Database
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.instances import api


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(commands, arguments, input=answer)


def succeed(*arguments: str, answer: str | None = None) -> str:
    result = run(*arguments, answer=answer)
    assert result.exit_code == 0, result.output
    return result.output


def without_url(command: click.Command, name: str) -> list[str]:
    """Returns the commands that take no ``--url``."""
    if isinstance(command, click.Group):
        return [found for child in command.commands.values() for found in without_url(child, str(child.name))]
    return [] if any("--url" in parameter.opts for parameter in command.params) else [name]


def test_every_command_on_one_store_has_the_options_url_and_instance() -> None:
    assert without_url(commands, "") == ["instances", "serve", "keys", "copy"]


def test_a_spec_published_to_a_url_is_listed_at_that_url(url: str) -> None:
    document = str(tour.EXAMPLES / "library-2.0.yaml")

    succeed("publish", document, "--sub", "u1", "--url", url)

    assert [spec["version"] for spec in json.loads(succeed("specs", "u1", "--json", "--url", url))] == ["2.0"]
    assert len(json.loads(succeed("versions", "u1", "library", "--json", "--url", url))) == 1
    assert succeed("credentials", "u1", "--url", url) == ""
    with package_database.connect(url) as database:
        assert database.get_latest_spec_version(sub="u1", name="library") == "2.0"


def test_the_url_of_the_environment_is_the_default(
    url: str, fresh_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKAGE_DATABASE_URL", url)
    with package_database.connect(url) as database:
        database.create_update_spec(sub="u1", name="a", version="1", model_count=1)

    assert len(json.loads(succeed("specs", "u1", "--json"))) == 1


def test_a_url_applies_to_one_command_only(url: str) -> None:
    succeed("tables", "create", "--url", url)
    before = api.current()

    succeed("specs", "u1", "--url", url)

    assert api.current() is before


def test_an_invalid_url_exits_with_2_and_its_password_is_not_printed() -> None:
    result = run("specs", "u1", "--url", "postgres://user:canary@host/a")

    assert result.exit_code == 2
    assert result.output.startswith("Error: the URL is not a database URL: unknown scheme 'postgres'; known URLs are")
    assert "canary" not in result.output


def test_a_file_of_another_program_exits_with_2(path: Path, url: str) -> None:
    path.write_text("text")

    result = run("specs", "u1", "--url", url)

    assert result.exit_code == 2
    assert "is not a database of this package" in result.output


def test_a_file_in_a_missing_folder_exits_with_1(tmp_path: Path) -> None:
    document = str(tour.EXAMPLES / "employees.yaml")

    result = run("publish", document, "--sub", "u1", "--url", f"sqlite:///{tmp_path}/missing/a.db")

    assert result.exit_code == 1
    assert "SQLITE_CANTOPEN" in result.output


@pytest.mark.parametrize(
    "command",
    [
        ("specs", "u1"),
        ("versions", "u1", "a"),
        ("credentials", "u1"),
        ("count", "u1"),
        ("delete", "u1", "--all", "--yes"),
        ("export", "--all", "-"),
    ],
)
def test_a_reading_command_creates_no_file(path: Path, url: str, command: tuple[str, ...]) -> None:
    result = run(*command, "--url", url)

    assert (result.exit_code, result.output) == (1, f"Error: the file {path} does not exist\n")
    assert not path.exists()


def test_the_tables_of_a_file_are_created_described_and_deleted(path: Path, url: str) -> None:
    missing = run("tables", "describe", "--url", url)
    was_made = path.exists()
    created = succeed("tables", "create", "--url", url)
    with package_database.connect(url) as database:
        database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
    again = succeed("tables", "create", "--url", url)
    described = json.loads(succeed("tables", "describe", "--json", "--url", url))
    deleted = succeed("tables", "delete", "--url", url, answer="y\n")
    gone = run("specs", "u1", "--url", url)
    not_there = succeed("tables", "delete", "--yes", "--url", url)
    succeed("tables", "create", "--url", url)
    empty = succeed("specs", "u1", "--url", url)

    assert missing.exit_code == 1
    assert "package.specs: the table is missing" in missing.output
    assert "package.credentials: the table is missing" in missing.output
    assert not was_made
    assert f"created package.specs at {path}" in created
    assert f"created package.credentials at {path}" in created
    assert again.count(f" already exists at {path}") == 2
    assert [(row["table"], row["keys"], row["indexes"], row["items"]) for row in described] == [
        ("package.specs", "sub, updated_at_id", "idUpdatedAt (sub, id_updated_at)", 2),
        ("package.credentials", "sub, id", "publicKey (public_key)", 0),
    ]
    assert all(row["bytes"] >= 4096 for row in described)
    assert f"at {path} with all their data?" in deleted
    assert gone.exit_code == 1
    assert "no such table: package.specs" in gone.output
    assert not_there.count("does not exist") == 2
    assert empty == ""


def test_the_tour_runs_on_a_file(url: str) -> None:
    with package_database.connect(url) as database:
        database.create_update_spec(sub="alice", name="library", version="of alice", model_count=1)

    printed = succeed("tour", "--url", url)

    assert "All results are correct: 19 functions were called." in printed
    assert "  2 operations, " in printed
    assert "Transact" not in printed
    assert "hash of the secret key" not in printed
    with package_database.connect(url) as database:
        assert database.get_latest_spec_version(sub="alice", name="library") == "of alice"


def test_the_tour_deletes_its_data(path: Path) -> None:
    config = SQLiteConfig(path)

    assert tour.run_tour(Console(file=io.StringIO()), config) == 0

    rows = json.loads(succeed("tables", "describe", "--json", "--url", f"sqlite:///{path}"))
    assert [row["items"] for row in rows] == [0, 0]


def test_a_store_that_refuses_writes_fails_the_tour(url: str, path: Path) -> None:
    succeed("tables", "create", "--url", url)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('DROP TABLE "package.specs"')

    result = run("tour", "--url", url)

    assert result.exit_code == 1
    assert "RefusedError" in result.output
    assert "not as expected" in result.output


@pytest.mark.parametrize("function", ["create_update_spec", "create_update_credentials"])
def test_a_result_of_another_type_is_wrong(url: str, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """If a write is replaced by a function that does nothing, later reads return other results."""
    monkeypatch.setattr(Database, function, lambda self, **_: None)

    result = run("tour", "--url", url)

    assert result.exit_code == 1
    assert "not as expected" in result.output


def test_a_store_that_cannot_be_opened_prints_one_line(url: str, path: Path) -> None:
    path.write_bytes(b"x" * 10_000)

    result = run("tour", "--url", url)

    assert result.exit_code == 2
    assert result.output.count("is not a database of this package") == 1


def test_an_interrupted_tour_deletes_its_data(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Database, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Database, "get_spec", interrupt)

    result = run("tour", "--url", url)

    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"
    rows = json.loads(succeed("tables", "describe", "--json", "--url", url))
    assert [row["items"] for row in rows] == [0, 0]


def test_the_tour_runs_on_sqlite_in_memory() -> None:
    assert "All results are correct" in succeed("tour", "--url", "sqlite://")
