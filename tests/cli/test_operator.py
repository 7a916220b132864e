"""The commands ``export``, ``import`` and ``tables``: output, messages and exit codes."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import stat
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import boto3
import click
import pytest
from click.testing import CliRunner, Result

from open_alchemy import package_database
from open_alchemy.package_database import RefusedError, UnavailableError
from open_alchemy.package_database.admin import export_writer as export_module
from open_alchemy.package_database.admin.import_items import BATCH_ENTRIES
from open_alchemy.package_database.admin.table_client import AdminClient
from open_alchemy.package_database.cli import output
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.core.operations import Item, Page, Put, Scan, Transact
from open_alchemy.package_database.engines.dynamodb.administration import DynamoDBAdministration, create_table
from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS, DUMMY_REGION
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES
from open_alchemy.package_database.testing import dynamodb_server
from tests.canary import HASH, SALT, find
from tests.canned_server import serve
from tests.other_region import client_of

ACCOUNTS = ("111111111111", "222222222222")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments)


def succeed(*arguments: str) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def fill(users: int = 2) -> None:
    database = package_database.get()
    for number in range(users):
        for version in ("1.0", "2.0"):
            database.create_update_spec(sub=f"u{number}", name="My.Spec", version=version, model_count=number)
        store_credentials(f"u{number}")


def store_credentials(sub: str, secret: bytes = HASH, salt: bytes = SALT) -> None:
    package_database.get().create_update_credentials(
        sub=sub, id_="laptop", public_key=f"pk-{sub}", secret_key_hash=secret, salt=salt
    )


def contents(users: int = 2) -> list[object]:
    database = package_database.get()
    found: list[object] = []
    for number in range(users):
        found += [database.get_user(public_key=f"pk-u{number}"), database.list_specs(sub=f"u{number}")]
        found += [database.list_spec_versions(sub=f"u{number}", name="My.Spec")] if found[-1] else []
    return found


def empty(users: int = 2) -> None:
    for number in range(users):
        package_database.get().delete_all(sub=f"u{number}")


def header_of(path: Path) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(path.read_bytes().partition(b"\n")[0])
    return header


stored = pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")


@stored
@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_exported_items_are_stored_by_an_import(tmp_path: Path, name: str) -> None:
    fill()
    before, path = contents(), tmp_path / name

    exported = succeed("export", "--all", str(path))
    empty()
    imported = succeed("import", str(path))

    assert contents() == before
    assert exported.stdout == imported.stdout == ""
    assert f"exported 8 items of all users from {AdminClient.configured().location}" in exported.stderr
    assert f"warning: {path} contains secret key hashes and salts" in exported.stderr
    assert "6 versions and credentials: 6 added, 0 already stored, 0 different (not changed)\n" in imported.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 or sys.platform == "win32"
    assert find(exported.output + imported.output) == []


@stored
def test_a_repeated_import_changes_nothing(tmp_path: Path) -> None:
    fill()
    before, path = contents(), str(tmp_path / "all.jsonl")
    succeed("export", "--all", path)

    again = succeed("import", path)

    assert contents() == before
    assert "6 versions and credentials: 0 added, 6 already stored, 0 different (not changed)\n" in again.stderr


@stored
def test_an_export_of_a_user_contains_only_that_user(tmp_path: Path) -> None:
    fill()
    before, path = contents(), str(tmp_path / "u1.jsonl")

    exported = succeed("export", "u1", path)
    empty()
    succeed("import", path)

    assert "exported 4 items of u1 from" in exported.stderr
    assert contents() == [None, [], *before[3:]]


@stored
def test_stored_items_are_kept_and_different_ones_are_listed(tmp_path: Path) -> None:
    fill()
    path = str(tmp_path / "all.jsonl")
    succeed("export", "--all", path)
    package_database.get().create_update_spec(sub="u0", name="My.Spec", version="3.0", model_count=7)
    store_credentials("u1", b"newer")
    newer = contents()

    result = run("import", path)

    assert contents() == newer
    assert result.exit_code == 1
    assert "0 added, 5 already stored, 1 different (not changed)\n" in result.stderr
    assert "the item of package.credentials with sub 'u1', id 'laptop': the stored item with its key" in result.stderr
    assert "Error: 1 item not imported" in result.stderr


@stored
@pytest.mark.parametrize("option", [[], ["--force"]])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("suffix", ["", ".part", ".new"])
def test_only_a_regular_file_is_replaced(tmp_path: Path, suffix: str, option: list[str]) -> None:
    path = tmp_path / "all.jsonl"
    os.mkfifo(f"{path}{suffix}")

    result = run("export", "--all", str(path), *option)

    assert result.exit_code == 2
    assert result.stderr == f"Error: {path}{suffix} is not a regular file; - is standard output\n"
    assert [found.name for found in tmp_path.iterdir()] == [f"all.jsonl{suffix}"]


@stored
@pytest.mark.parametrize("name", ["/", "", ".", "a" * 5000])
def test_an_impossible_path_prints_one_line(name: str) -> None:
    result = run("export", "--all", name)

    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


@stored
def test_an_export_can_be_piped_into_an_import(tmp_path: Path) -> None:
    fill()
    before, path = contents(), tmp_path / "all.jsonl"

    exported = succeed("export", "--all", "-")
    succeed("export", "--all", str(path))
    empty()
    imported = CliRunner().invoke(commands, ["import", "-"], input=exported.stdout)

    assert exported.stdout == path.read_text(encoding="utf-8")
    assert exported.stderr.startswith("exported 8 items of all users from ")
    assert (imported.exit_code, imported.stdout) == (0, "")
    assert contents() == before


@stored
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_an_import_reads_a_named_pipe(tmp_path: Path) -> None:
    fill()
    before, pipe = contents(), tmp_path / "pipe"
    exported = succeed("export", "--all", "-").stdout
    empty()
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(exported, "utf-8"))
    writer.start()

    succeed("import", str(pipe))
    writer.join()

    assert contents() == before


def test_an_endless_stream_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "open_alchemy.package_database.cli", "import", "-", "--url", "sqlite:///a.db"]
    with Path("/dev/zero" if sys.platform != "win32" else os.devnull).open("rb") as endless:
        finished = subprocess.run(command, stdin=endless, capture_output=True, text=True, check=False)

    assert finished.returncode == 2
    assert finished.stderr == "Error: standard input, header: it is not an export of the package database\n"


@stored
def test_an_imported_time_after_the_year_9999_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 10**19 - 1
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: seconds)
        package_database.get().create_update_spec(sub="u0", name="a", version="1", model_count=1)
    exported = succeed("export", "u0", "-").stdout
    empty(1)

    CliRunner().invoke(commands, ["import", "-"], input=exported)

    assert succeed("versions", "u0", "a").stdout == f"a\ta\t1\t1\t{seconds}\t\n"


@stored
def test_older_versions_are_imported_below_a_newer_one(tmp_path: Path) -> None:
    fill(1)
    path = str(tmp_path / "all.jsonl")
    succeed("export", "--all", path)
    empty(1)
    package_database.get().create_update_spec(sub="u0", name="My.Spec", version="3.0", model_count=7)
    package_database.get().create_update_spec(sub="u0", name="My.Spec", version="4.0", model_count=8)
    package_database.get().create_update_spec(sub="u0", name="My.Spec", version="5.0", model_count=9)

    run("import", path)

    versions = package_database.get().list_spec_versions(sub="u0", name="My.Spec")
    assert [info["version"] for info in versions][-3:] == ["3.0", "4.0", "5.0"]
    assert package_database.get().get_latest_spec_version(sub="u0", name="My.Spec") == "5.0"


@stored
def test_an_interrupted_export_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(3)
    path = tmp_path / "all.jsonl"
    monkeypatch.setattr(export_module, "PAGE_ITEMS", 2)
    whole = tmp_path / "whole.jsonl"
    succeed("export", "--all", str(whole))
    asked: list[Scan] = []
    read = AdminClient.read

    def fail_at_the_fourth(self: AdminClient, scan: Scan) -> Page:
        asked.append(scan)
        if len(asked) == 4:
            raise UnavailableError("the store did not answer")
        return read(self, scan)

    monkeypatch.setattr(AdminClient, "read", fail_at_the_fourth)
    interrupted = run("export", "--all", str(path))
    again = succeed("export", "--all", str(path))

    assert interrupted.exit_code == 1
    assert f"interrupted: {path}.part has 6 items; the same command resumes after them" in interrupted.stderr
    assert "Error: the store did not answer" in interrupted.stderr
    assert f"resuming after 6 items in {path}.part of 20" in again.stderr
    assert path.read_bytes() == whole.read_bytes()


@stored
def test_a_full_disk_prints_one_line_and_exits_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, entries: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module.Part, "add", fail)

    result = run("export", "--all", str(tmp_path / "all.jsonl"))

    assert result.exit_code == 1
    assert f"Error: {tmp_path}/all.jsonl cannot be written: No space left on device" in result.stderr


LIMITED = """
import resource, sys
from open_alchemy.package_database.cli import output
from open_alchemy.package_database.cli.commands import commands
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
commands(sys.argv[2:])
"""


def run_with_file_size_limit(limit: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process with a limit on the size of files, which fails as on a full disk."""
    command = [sys.executable, "-c", LIMITED, str(limit), *arguments]
    # Coverage cannot write its data file below the limit.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_file_size_limit_prints_one_line_and_exits_with_1(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path}/a.db", tmp_path / "all.jsonl"
    with package_database.connect(url) as database:
        for number in range(100):
            database.create_update_credentials(
                sub=f"u{number}", id_="a" * 500, public_key=f"pk{number}", secret_key_hash=b"aA==", salt=b"aA=="
            )

    # The shared memory file of SQLite takes 32 KB.
    exported = run_with_file_size_limit(40_000, "export", "--all", str(path), "--url", url)

    assert exported.returncode == 1
    interrupted, *error = exported.stderr.splitlines()
    assert interrupted.endswith("the same command resumes after them")
    assert error == [f"Error: {path} cannot be written: File too large"]


@pytest.mark.parametrize("arguments", [["file"], ["u1", "u2", "file"], ["--all", "u1", "file"]])
def test_export_needs_a_user_or_all(arguments: list[str]) -> None:
    result = run("export", *arguments)

    assert result.exit_code == 2
    assert "Error: expected SUB FILE, or --all FILE" in result.stderr


def test_an_invalid_user_exits_with_2(tmp_path: Path) -> None:
    assert run("export", "x" * 3000, str(tmp_path / "file")).exit_code == 2
    assert run("tables", "upgrade", "--from", "4", "--sub", "x" * 3000).exit_code == 2


@stored
def test_a_damaged_file_prints_one_line_and_exits_with_2(tmp_path: Path) -> None:
    fill(1)
    good, bad = tmp_path / "good.jsonl.gz", tmp_path / "bad"
    succeed("export", "--all", str(good))
    empty(1)
    text = gzip.decompress(good.read_bytes())
    lines = text.splitlines(keepends=True)
    damages = {
        "is truncated or damaged": good.read_bytes()[:-20],
        "has the schema version 6, and this package reads 5: use a newer package": text.replace(b":5,", b":6,", 1),
        "has 3 items, but its header states 4: it is truncated or damaged": b"".join(lines[:-1]),
        "does not match the checksum of its header": text.replace(b'"2.0"', b'"2.1"'),
        "header: it is not an export of the package database": b"hello\n",
    }

    for message, content in damages.items():
        bad.write_bytes(content)
        result = run("import", str(bad))
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
        assert message in result.stderr

    assert contents(1) == [None, []]


@stored
def test_nothing_is_imported_from_a_long_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    for number in range(BATCH_ENTRIES + 2):
        store_credentials(f"u{number}")
    succeed("export", "--all", str(path))
    empty(BATCH_ENTRIES + 2)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))

    assert run("import", str(path)).exit_code == 2

    assert package_database.get().list_credentials(sub="u0") == []


@stored
def test_a_progress_bar_is_shown_on_a_terminal_after_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(1)
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm"}
    assert output.PROGRESS_AFTER_SECONDS == 1
    monkeypatch.setattr("open_alchemy.package_database.cli.output.PROGRESS_AFTER_SECONDS", math.inf)
    short = CliRunner().invoke(commands, ["export", "--all", str(tmp_path / "short.jsonl")], env=terminal)
    monkeypatch.setattr("open_alchemy.package_database.cli.output.PROGRESS_AFTER_SECONDS", 0)

    assert "exporting" not in succeed("export", "--all", str(tmp_path / "plain.jsonl")).output
    shown = CliRunner().invoke(commands, ["export", "--all", str(tmp_path / "all.jsonl")], env=terminal)

    assert "exporting" not in short.stderr
    assert shown.stdout == ""
    assert re.search(r"exporting.*4/4", shown.stderr, re.DOTALL)


@stored
def test_the_progress_of_an_upgrade_counts_only_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_alchemy.package_database.cli.output.PROGRESS_AFTER_SECONDS", 0)
    fill()

    shown = CliRunner().invoke(
        commands,
        ["tables", "upgrade", "--from", "4"],
        env={"FORCE_COLOR": "1", "TERM": "xterm"},
    )

    assert re.search(r"reading.*2/2", shown.stderr, re.DOTALL)


@stored
def test_progress_has_no_total_if_the_store_does_not_count_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DynamoDBAdministration, "describe", lambda *_: None)

    assert AdminClient.configured().expected_items(TABLES) is None


@pytest.fixture
def _undescribed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, table: object) -> None:
        raise RefusedError("no")

    monkeypatch.setattr(DynamoDBAdministration, "describe", refuse)


def interrupt(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """Runs an export whose store fails after the first page."""
    first = True
    read = AdminClient.read

    def fail(self: AdminClient, scan: Scan) -> Page:
        nonlocal first
        if not first:
            raise UnavailableError("the store did not answer")
        first = False
        return read(self, scan)

    with monkeypatch.context() as patch:
        patch.setattr(AdminClient, "read", fail)
        patch.setattr(export_module, "PAGE_ITEMS", 2)
        return run("export", *arguments)


@stored
def test_an_export_is_resumed_after_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    path = tmp_path / "all.jsonl"
    monkeypatch.setattr(export_module.Part, "finish", raise_keyboard_interrupt)

    result = run("export", "--all", str(path))

    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == f"interrupted: {path}.part has 8 items; the same command resumes after them\n"


@stored
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["specs", "u0"], "interrupted\n"),
        (["tables", "delete"], "interrupted\n"),
        (["import", "FILE"], "interrupted: run the same command to import the rest\n"),
    ],
)
def test_ctrl_c_prints_one_line_and_exits_with_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], message: str
) -> None:
    path = str(tmp_path / "all.jsonl")
    succeed("export", "--all", path)
    monkeypatch.setattr(package_database.get(), "list_specs", raise_keyboard_interrupt)
    monkeypatch.setattr("open_alchemy.package_database.cli.export_import.import_entries", raise_keyboard_interrupt)
    monkeypatch.setattr("click.confirm", abort)

    result = run(*(path if argument == "FILE" else argument for argument in command))

    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith(message)


def abort(*_: object, **__: object) -> None:
    """Raises what a prompt of click raises after Ctrl-C."""
    try:
        raise_keyboard_interrupt()
    except KeyboardInterrupt:
        raise click.Abort from None


def raise_keyboard_interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@stored
@pytest.mark.usefixtures("_undescribed")
def test_an_export_starts_again_if_describe_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    path = tmp_path / "all.jsonl"

    interrupted = interrupt(monkeypatch, "--all", str(path))
    again = succeed("export", "--all", str(path))

    reason = "DescribeTable is refused, so the tables cannot be identified"
    assert f"{path}.part has 2 items; the same command starts again: {reason}" in interrupted.stderr
    assert "resuming" not in again.stderr
    assert "exported 8 items" in again.stderr
    assert header_of(path)["items"] == 8


def test_an_export_that_reads_nothing_reports_the_error_alone_and_leaves_no_file(tmp_path: Path) -> None:
    with serve(lambda handler: handler.answer(501, b"<html>")) as server:
        url = server.url.replace("http:", "dynamodb:")
        result = CliRunner().invoke(commands, ["export", "--all", str(tmp_path / "a.jsonl"), "--url", url])

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_only_an_export_with_credentials_warns_of_secrets(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with package_database.connect(url) as database:
        database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
        database.create_update_credentials(sub="u2", id_="1", public_key="k", secret_key_hash=b"h", salt=b"s")

    without, with_credentials = (
        CliRunner().invoke(commands, ["export", sub, str(tmp_path / sub), "--url", url]).stderr for sub in ("u1", "u2")
    )

    assert "secret" not in without
    assert "contains secret key hashes and salts" in with_credentials


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no EPIPE")
def test_an_export_to_a_closed_pipe_ends_silently(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with package_database.connect(url) as database:
        database.create_update_spec(sub="u1", name="a", version="1", model_count=1, description="d" * 100_000)
    reader, writer = os.pipe()
    os.close(reader)

    command = [sys.executable, "-m", "open_alchemy.package_database.cli", "export", "--all", "-", "--url", url]
    finished = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)

    assert (finished.returncode, finished.stderr) == (1, "")


def store_version_4(number: int, secret: bytes, salt: bytes) -> None:
    item: Item = {
        "sub": f"u{number}",
        "id": "1",
        "public_key": f"pk-u{number}",
        "secret_key_hash": secret,
        "salt": salt,
    }
    AdminClient.configured().transact(Transact((Put(CREDENTIALS, item),)))


@stored
def test_the_secrets_of_version_4_are_decoded() -> None:
    for number in range(3):
        store_version_4(number, b64encode(HASH), b64encode(SALT))
    upgrade = ("tables", "upgrade", "--from", "4")

    dry = succeed(*upgrade)
    untouched = contents(3)
    written = succeed(*upgrade, "--write")
    again = succeed(*upgrade, "--write")

    users = [user for user in contents(3) if user]
    assert "3 credentials: base64 text of version 4\n" in dry.stderr
    assert "nothing was changed; --write upgrades 3 credentials" in dry.stderr
    assert {user.secret_key_hash for user in untouched if user} == {b64encode(HASH)}  # type: ignore[attr-defined]
    assert "upgraded: 3; changed during the upgrade: 0" in written.stderr
    assert {(user.secret_key_hash, user.salt) for user in users} == {(HASH, SALT)}  # type: ignore[attr-defined]
    assert "3 credentials: current\n" in again.stderr
    assert "all credentials are current" in again.stderr
    assert find(dry.output + written.output + again.output) == []


def test_an_unknown_version_exits_with_2() -> None:
    assert run("tables", "upgrade", "--from", "3").exit_code == 2


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], tuple[str, str]]]:
    """A local AWS with the tables in each account. The function selects an account and returns its option ``--url``."""
    with dynamodb_server.run(module="tests.infrastructure.aws") as url:

        def enter(account: str) -> tuple[str, str]:
            session = boto3.session.Session(DUMMY_CREDENTIALS.access_key_id, DUMMY_CREDENTIALS.secret_access_key)
            assumed = session.client("sts", region_name=DUMMY_REGION, endpoint_url=url).assume_role(
                RoleArn=f"arn:aws:iam::{account}:role/operator", RoleSessionName="test"
            )
            for name, key in (
                ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
                ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
                ("AWS_SESSION_TOKEN", "SessionToken"),
            ):
                monkeypatch.setenv(name, assumed["Credentials"][key])
            return "--url", url.replace("http:", "dynamodb:")

        for account in ACCOUNTS:
            succeed("tables", "create", *enter(account))
        yield enter


def publish(*option: str, sub: str, folder: Path) -> None:
    document = folder / f"{sub}.json"
    document.write_text('{"openapi": "3.1.0", "info": {"title": "a", "version": "1"}}')
    succeed("publish", str(document), "--sub", sub, *option)


def test_an_export_is_not_resumed_with_the_tables_of_another_account(
    tmp_path: Path, accounts: Callable[[str], tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "all.jsonl"
    for account in ACCOUNTS:
        publish(*accounts(account), sub=f"of-{account}", folder=tmp_path)
    first, second = ACCOUNTS

    interrupted = interrupt(monkeypatch, "--all", str(path), *accounts(first))
    refused = run("export", "--all", str(path), *accounts(second))
    succeed("export", "--all", str(path), *accounts(first))

    assert "has 2 items; the same command resumes after them" in interrupted.stderr
    assert refused.exit_code == 2
    assert f"{path}.part is not the beginning of this export" in refused.stderr
    assert second not in path.read_text()


@stored
def test_an_export_is_not_resumed_with_a_table_that_was_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(1)
    describe = DynamoDBAdministration.describe

    def describe_as(table_id: str) -> None:
        # moto does not return a TableId.
        monkeypatch.setattr(
            DynamoDBAdministration,
            "describe",
            lambda self, table: cast("Any", describe(self, table))._replace(identity={"TableId": table_id}),
        )

    describe_as("old")
    interrupt(monkeypatch, "--all", str(tmp_path / "all.jsonl"))
    describe_as("new")
    refused = run("export", "--all", str(tmp_path / "all.jsonl"))

    assert refused.exit_code == 2
    assert "is not the beginning of this export" in refused.stderr


def test_correct_tables_have_no_differences(without_tables: str) -> None:
    for table in TABLES:
        client_of(without_tables).create_table(**create_table(table))

    described = succeed("tables", "describe", "--json")

    assert [row["differences"] for row in json.loads(described.stdout)] == [[], []]
    assert described.stderr == ""


def test_tables_that_differ_from_the_schema_are_listed_and_exit_with_1(without_tables: str) -> None:
    client = client_of(without_tables)
    wrong = create_table(SPECS)
    wrong["LocalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "KEYS_ONLY"}
    client.create_table(**wrong)

    described = run("tables", "describe", "--json")

    assert described.exit_code == 1
    assert [row["differences"] for row in json.loads(described.stdout)] == [
        ["the index idUpdatedAt projects KEYS_ONLY, not ALL attributes"],
        ["the table is missing"],
    ]
    assert "package.specs: the index idUpdatedAt projects KEYS_ONLY, not ALL attributes\n" in described.stderr
    assert "package.credentials: the table is missing\n" in described.stderr
    assert "differ from the schema; differences: 2" in described.stderr


def test_a_production_table_must_be_protected(
    without_tables: str, fresh_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "PROD")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", DUMMY_CREDENTIALS.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", DUMMY_CREDENTIALS.secret_access_key)
    client = client_of(without_tables)
    for table in TABLES:
        client.create_table(**create_table(table))
    bare = run("tables", "describe")
    for table in TABLES:
        # moto sets the encryption only when a table is created.
        client.delete_table(TableName=table.name)
        encryption = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/aws/dynamodb"}
        client.create_table(**create_table(table), SSESpecification=encryption, DeletionProtectionEnabled=True)
        client.update_continuous_backups(
            TableName=table.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    protected = run("tables", "describe")
    expiry = {"Enabled": True, "AttributeName": "updated_at"}
    client.update_time_to_live(TableName="package.specs", TimeToLiveSpecification=expiry)
    expiring = run("tables", "describe")

    assert bare.exit_code == 1
    assert bare.stderr.count("it has no point-in-time recovery") == 2
    assert bare.stderr.count("it has no deletion protection") == 2
    assert bare.stderr.count("it is not encrypted with a key of AWS KMS") == 2
    assert (protected.exit_code, protected.stderr) == (0, "")
    assert expiring.exit_code == 1
    assert "package.specs: it deletes items whose updated_at has passed (time to live)\n" in expiring.stderr
