"""The commands on specs and credentials, the tour and the local server: output, messages and exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from open_alchemy import package_database
from open_alchemy.package_database import cli
from open_alchemy.package_database.cli import commands as commands_module
from open_alchemy.package_database.cli import output, tour
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.database import Database
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.instances import api, lookup
from open_alchemy.package_database.testing import dynamodb_server
from tests import other_region
from tests.canned_server import fail, serve

EXAMPLES = tour.EXAMPLES


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(commands, arguments, input=answer)


def succeed(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


pytestmark = pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")


def test_a_document_is_published() -> None:
    printed = run("publish", str(EXAMPLES / "library-2.0.yaml"), "--sub", "u1")

    assert printed.stdout == ""
    assert printed.stderr == "published Library 2.0 with 5 models for u1\n"
    spec = package_database.get().get_spec(sub="u1", name="library")
    assert spec is not None
    assert (spec["version"], spec["model_count"], spec["title"]) == ("2.0", 5, "Library")
    assert spec["description"].startswith("Books")


def test_a_document_is_published_under_another_name() -> None:
    succeed("publish", str(EXAMPLES / "employees.yaml"), "--sub", "u1", "--name", "shop")

    assert [spec["id"] for spec in package_database.get().list_specs(sub="u1")] == ["shop"]


def test_json_prints_specs_and_versions() -> None:
    for version in ("1.0", "2.0"):
        succeed("publish", str(EXAMPLES / f"library-{version}.yaml"), "--sub", "u1")

    specs = json.loads(succeed("specs", "u1", "--json"))
    versions = json.loads(succeed("versions", "u1", "library", "--json"))

    assert specs == package_database.get().list_specs(sub="u1")
    assert versions == package_database.get().list_spec_versions(sub="u1", name="library")
    assert [info["version"] for info in versions] == ["1.0", "2.0"]


def test_specs_are_tab_separated_lines_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000)
    name = "a" * 200
    package_database.get().create_update_spec(sub="u1", name=name, version="1.0", model_count=3, title="a\tb")

    printed = succeed("specs", "u1")

    assert printed == f"{name}\t{name}\t1.0\t3\t2023-11-14T22:13:20Z\ta\\tb\n"


def test_specs_are_aligned_columns_on_a_terminal_and_not_shortened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    output.print_rows([{"id": "a" * 100, "n": 1}, {"id": "宽", "n": None}], ("id", "n"), as_json=False)

    assert capsys.readouterr().out.splitlines() == [f"id{' ' * 98}  n", f"{'a' * 100}  1", "宽"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_control_characters_of_stored_text_are_escaped(options: list[str]) -> None:
    package_database.get().create_update_spec(sub="u1", name="a\x1b[2J\x9b", version="1.0", model_count=3)

    printed = succeed("specs", "u1", *options)

    assert all(char.isprintable() or char in "\t\n" for char in printed)
    assert not options or [spec["name"] for spec in json.loads(printed)] == ["a\x1b[2J\x9b"]


@pytest.mark.parametrize("seconds", [10**18, 10**19, -(10**19), 2**63])
def test_a_time_outside_of_the_calendar_is_printed_as_a_number(seconds: int) -> None:
    assert output.format_time(seconds) == str(seconds)


def test_no_rows_print_nothing_in_a_pipe() -> None:
    assert succeed("specs", "u1") == ""
    assert succeed("specs", "u1", "--json") == "[]\n"


def test_no_rows_are_none_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    output.print_rows([], ("id",), as_json=False)

    assert capsys.readouterr().out == "none\n"


def test_models_are_counted() -> None:
    package_database.get().create_update_spec(sub="u1", name="a", version="1", model_count=3)

    assert succeed("count", "u1") == "3\n"
    assert json.loads(succeed("count", "u1", "--json")) == {"sub": "u1", "model_count": 3}


def test_a_spec_is_deleted_after_a_confirmation() -> None:
    for name in ("a", "b"):
        package_database.get().create_update_spec(sub="u1", name=name, version="1", model_count=1)

    refused = run("delete", "u1", "A", answer="n\n")
    kept = package_database.get().list_specs(sub="u1")
    deleted = run("delete", "u1", "A", answer="y\n")

    assert (refused.exit_code, len(kept)) == (1, 2)
    assert "Error: nothing was deleted" in refused.stderr
    assert (deleted.exit_code, deleted.stdout) == (0, "")
    assert deleted.stderr == "Delete the spec A of u1? [y/N]: y\ndeleted the spec A of u1\n"
    assert [spec["id"] for spec in package_database.get().list_specs(sub="u1")] == ["b"]


def test_all_data_of_a_user_is_deleted() -> None:
    database = package_database.get()
    database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
    database.create_update_credentials(sub="u1", id_="1", public_key="pk", secret_key_hash=b"h", salt=b"s")

    succeed("delete", "u1", "--all", "--yes")

    assert (database.list_specs(sub="u1"), database.list_credentials(sub="u1")) == ([], [])


@pytest.mark.parametrize(("arguments", "code"), [(["a"], 1), ([], 2), (["a", "--all"], 2)])
def test_delete_needs_an_existing_spec_or_all(arguments: list[str], code: int) -> None:
    assert run("delete", "u1", *arguments, "--yes").exit_code == code


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_credentials_show_no_secret(options: list[str]) -> None:
    package_database.get().create_update_credentials(
        sub="u1", id_="laptop", public_key="pk", secret_key_hash=b"canary hash", salt=b"canary salt"
    )

    printed = succeed("credentials", "u1", *options)

    assert "laptop" in printed
    assert "canary" not in printed
    assert "salt" not in printed


def test_a_missing_spec_prints_one_line_and_exits_with_1() -> None:
    result = run("versions", "u1", "nothing")

    assert (result.exit_code, result.output) == (1, "Error: the user has no spec 'nothing'\n")


def test_an_invalid_argument_prints_one_line_and_exits_with_2() -> None:
    result = run("specs", "x" * 3000)

    assert result.exit_code == 2
    assert result.output.startswith("Error: sub must have 1 to 2048 bytes in UTF-8, not 'xxx")


WRONG = {
    "empty.yaml": ("", "the document must be a mapping"),
    "text.yaml": ("hello", "the document must be a mapping"),
    "swagger.yaml": (
        "swagger: '2.0'\ninfo: {title: a, version: '1'}",
        "the key openapi must be a version such as 3.1.0",
    ),
    "no-info.yaml": ("openapi: 3.1.0", "info must be a mapping"),
    "no-title.yaml": ("openapi: 3.1.0\ninfo: {version: '1'}", "info.title must be text"),
    "no-version.yaml": ("openapi: 3.1.0\ninfo: {title: a}", "info.version must be text"),
    "number.json": ('{"openapi": "3.1.0", "info": {"title": "a", "version": 1.10}}', "info.version must be text"),
    "description.yaml": ("openapi: 3.1.0\ninfo: {title: a, version: '1', description: []}", "info.description must be"),
    "schemas.json": (
        '{"openapi": "3.1.0", "info": {"title": "a", "version": "1"}, "components": {"schemas": [1]}}',
        "components.schemas must be a mapping",
    ),
    "deep.json": ("[" * 100_000, "neither YAML nor JSON"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_without_an_openapi_document_prints_one_line_and_exits_with_2(tmp_path: Path, name: str) -> None:
    content, message = WRONG[name]
    path = tmp_path / name
    path.write_text(content)

    result = run("publish", str(path), "--sub", "u1")

    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert package_database.get().list_specs(sub="u1") == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_an_unreadable_file_prints_one_line_and_exits_with_2(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_bytes(content)

    result = run("publish", str(path), "--sub", "u1")

    assert result.exit_code == 2
    assert result.output.count("\n") == 1


def test_a_version_is_published_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("openapi: 3.1.0\ninfo:\n  title: 2024\n  version: 1.10\n")

    succeed("publish", str(path), "--sub", "u1")

    assert package_database.get().get_latest_spec_version(sub="u1", name="2024") == "1.10"


def test_only_schemas_with_an_extension_property_are_models(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("""
openapi: 3.0.3
info: {title: a, version: "1"}
components:
  schemas:
    Table: {x-tablename: table}
    Inherits: {allOf: [{$ref: "#/components/schemas/Table"}, {x-inherits: true}]}
    Not: {x-inherits: false}
    Reference: {$ref: "#/components/schemas/Table"}
    Plain: {type: string}
    Boolean: true
""")

    assert "with 2 models" in succeed("publish", str(path), "--sub", "u1")


def test_a_document_is_checked_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document, url = str(EXAMPLES / "employees.yaml"), f"sqlite:///{tmp_path / 'a.db'}"

    printed = succeed("publish", document, "--sub", "u1", "--name", "x", "--dry-run", "--json", "--url", url)
    text = run("publish", document, "--sub", "u1", "--dry-run", "--url", url)
    refused = run("publish", document, "--sub", "", "--dry-run", "--url", url)

    assert json.loads(printed) == {
        "sub": "u1",
        "name": "x",
        "version": "1.0",
        "model_count": 1,
        "title": "Employees",
        "description": "Who works here. One table, to start with.",
    }
    assert text.stderr == "would publish Employees 1.0 with 1 model for u1\n"
    assert refused.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ['{"openapi": "3.1.0", "info": {"title": "é", "version": "1"}}', "openapi: 3.1.0\ninfo: {title: é, version: 1}"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_document_is_read_from_standard_input(content: str, encoding: str) -> None:
    result = CliRunner().invoke(
        commands, ["publish", "-", "--sub", "u1", "--dry-run", "--json"], input=content.encode(encoding)
    )

    assert json.loads(result.stdout)["title"] == "é"


def test_a_json_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"openapi": "3.1.0", "info": {"title": "a", "version": "1"}}', "utf-8-sig")

    assert run("publish", str(tmp_path / "a.json"), "--sub", "u1", "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "a: 1\nb: [", "line 2, column 5: did not find expected node content"),
        ("a.yaml", "a: 1\n'a': 2\n", "line 2, column 1: the key 'a' occurs twice\n  'a': 2\n  ^\n"),
        ("a.json", '{"a": 1,\n "b" 2}', "line 2, column 6: Expecting ':' delimiter\n   \"b\" 2}\n       ^\n"),
        ("a.json", '{"a": 1, "a": 2}', "the key 'a' occurs twice\n"),
    ],
)
def test_a_syntax_error_shows_its_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)

    result = run("publish", str(tmp_path / name), "--sub", "u1")

    assert result.exit_code == 2
    assert message in result.stderr


def test_a_store_that_does_not_respond_exits_with_1() -> None:
    with serve(fail("AccessDeniedException")) as server:
        result = run("tables", "describe", "--url", server.url.replace("http:", "dynamodb:"))

    assert result.exit_code == 1
    assert "AccessDeniedException" in result.output


def test_an_invalid_stage_exits_with_2(fresh_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "STAGING")

    result = run("specs", "u1")

    assert result.exit_code == 2
    assert result.stderr == "Error: the environment variable STAGE is 'STAGING': it must be TEST or PROD\n"


def test_the_tables_are_created_described_and_deleted(without_tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")

    missing = run("tables", "describe")
    created = succeed("tables", "create")
    again = succeed("tables", "create")
    described = json.loads(succeed("tables", "describe", "--json"))
    kept = run("tables", "delete", answer="n\n")
    deleted = run("tables", "delete", answer="y\n")
    gone = succeed("tables", "delete", "--yes")

    assert missing.exit_code == 1
    assert "package.specs: the table is missing" in missing.output
    assert created.count("created package.") == 2
    assert again.count(" already exists at ") == 2
    assert [(row["table"], row["keys"], row["indexes"]) for row in described] == [
        ("package.specs", "sub, updated_at_id", "idUpdatedAt (sub, id_updated_at)"),
        ("package.credentials", "sub, id", "publicKey (public_key)"),
    ]
    assert kept.exit_code == 1
    assert "nothing was deleted" in kept.output
    assert f"at {without_tables} with all their data?" in deleted.output
    assert deleted.output.count("deleted package.") == 2
    assert gone.count("does not exist") == 2


@pytest.fixture
def started(without_tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DynamoDB without tables, which commands use in place of starting one."""
    monkeypatch.setattr(dynamodb_server, "run", lambda port=0: nullcontext(without_tables))
    monkeypatch.setattr(dynamodb_server, "DUMMY_REGION", other_region.REGION)


@pytest.mark.usefixtures("started")
def test_the_tour_calls_every_function_and_all_results_are_correct() -> None:
    result = run("tour", "--verbose")

    assert result.exit_code == 0, result.output
    assert "checks each result. The user alice and the specs are example data.\n" in result.output
    assert "All results are correct: 19 functions were called." in result.output
    for name in vars(package_database.TDatabase):
        assert name.startswith("_") or f"{name}(" in result.output
    for operation in ("Get", "Query", "Transact"):
        assert operation in result.output
    assert "hash of the secret key" not in result.output
    assert "idUpdatedAt" in result.output
    assert "publicKey" in result.output


def test_a_wrong_result_fails_the_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Database, "count_customer_models", lambda self, *, sub: -1)
    console = Console(file=io.StringIO(), record=True)

    assert tour.run_tour(console, SQLiteConfig(memory="tour")) == 1
    printed = console.export_text()
    assert "WRONG How many models does a user have?" in printed
    assert "2 results not as expected." in printed


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")
def test_serve_runs_a_local_dynamodb_with_both_tables_until_it_is_stopped(fresh_process: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    command = [sys.executable, "-u", "-m", "open_alchemy.package_database.cli", "serve", "--port", str(free)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            lines = [server.stdout.readline() for _ in range(3)]
            name, _, value = lines[1].split()[-1].partition("=")
            api.set_directory(lambda: lookup.from_environment({name: value}))
            specs = run("specs", "u1", "--json")
            server.send_signal(signal.SIGTERM)
            exit_code = server.wait()
        finally:
            server.kill()

    assert lines[0] == f"DynamoDB with package.specs and package.credentials at http://localhost:{free}\n"
    assert lines[1] == f"Connect services with PACKAGE_DATABASE_URL=dynamodb://localhost:{free}\n"
    assert (specs.exit_code, specs.stdout) == (0, "[]\n")
    assert exit_code == 0


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_at_a_signal(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    waits: list[float | None] = []

    class InterruptedEvent(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            if len(waits) == 2:
                signal.raise_signal(number)
            return self.is_set()

    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(commands_module, "threading", SimpleNamespace(Event=InterruptedEvent))
    try:
        succeed("serve", "--port", "8000")
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)

    assert len(waits) == 2


@pytest.mark.parametrize(
    "arguments",
    [("publish", str(EXAMPLES / "library-2.0.yaml"), "--sub", "u1"), ("import", "-"), ("tables", "create")],
)
def test_a_command_that_writes_refuses_a_store_in_memory(arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--url", "sqlite://")

    assert result.exit_code == 2
    assert result.stderr == "Error: --url is sqlite://, which is in memory and ends with this command\n"


def test_ctrl_c_during_the_imports_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n",
        encoding="utf-8",
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])

    finished = subprocess.run(
        [sys.executable, "-m", "open_alchemy.package_database.cli", "--help"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (finished.returncode, finished.stderr) == (130, "Error: interrupted\n")


def test_a_server_that_does_not_start_prints_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(port: int) -> NoReturn:
        raise dynamodb_server.LocalServerError(f"the local DynamoDB did not start on port {port}")

    monkeypatch.setattr(dynamodb_server, "run", refuse)

    result = run("serve", "--port", "8001")

    assert (result.exit_code, result.output) == (1, "Error: the local DynamoDB did not start on port 8001\n")


def test_the_error_names_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_alchemy.package_database.cli.commands", None)

    with pytest.raises(SystemExit, match=r"pip install 'open-alchemy.package-database\[cli\]'"):
        cli.main()


def test_the_command_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["package-database", "--help"])

    with pytest.raises(SystemExit) as caught:
        import_module("open_alchemy.package_database.cli.__main__")

    assert caught.value.code == 0
    assert "tour" in capsys.readouterr().out


def test_every_command_is_documented() -> None:
    def documented(command: click.Command) -> bool:
        below = command.commands.values() if isinstance(command, click.Group) else ()
        return bool(command.help) and all(documented(child) for child in below)

    assert documented(commands)


def test_a_refused_connection_names_the_command_that_starts_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    result = run("specs", "u1", "--url", f"dynamodb://127.0.0.1:{port}")

    assert result.exit_code == 1
    assert f"nothing listens at 127.0.0.1:{port}; package-database serve --port {port} starts" in result.stderr


def test_a_server_that_is_not_a_dynamodb_is_reported() -> None:
    with serve(lambda handler: handler.answer(501, b"<html>")) as server:
        result = run("specs", "u1", "--url", server.url.replace("http:", "dynamodb:"))

    assert result.exit_code == 1
    assert "the server answered with an HTTP error that is not DynamoDB's" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        ([b"specs", b"\xff"], 2, b"valid Unicode"),
        ([b"publish", b"\xff\x1b[2J", b"--sub", b"u"], 2, b"\\udcff\\x1b[2J cannot be read"),
        ([b"publish", b"-", b"--sub", "宽".encode(), b"--dry-run"], 0, b"for \\u5bbd"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no arguments of bytes")
def test_no_argument_causes_a_traceback_with_any_encoding(
    monkeypatch: pytest.MonkeyPatch, arguments: list[bytes], code: int, shown: bytes
) -> None:
    document = b"openapi: 3.1.0\ninfo: {title: a, version: '1'}"
    streams = {"stdin": io.BytesIO(document), "stdout": io.BytesIO(), "stderr": io.BytesIO()}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding="cp1252", write_through=True))
    monkeypatch.setattr(sys, "argv", ["package-database", *map(os.fsdecode, arguments), "--url", "sqlite://"])

    with pytest.raises(SystemExit) as caught:
        cli.main()

    assert caught.value.code == code
    assert shown in streams["stderr"].getvalue()
