"""The examples of README.md, docs/command-line.md and docs/upgrading.md run unchanged."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from open_alchemy import package_database
from open_alchemy.package_database.cli.commands import commands

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND_LINE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
UPGRADING = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
COMMANDS = re.findall(r"```sh\n(.*?)```", COMMAND_LINE, re.DOTALL)[0].splitlines()


def run(program: str, folder: Path) -> str:
    names = ("STAGE", "AWS_REGION", "AWS_DEFAULT_REGION")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env={**environment, "PACKAGE_DATABASE_URL": "sqlite:///specs.db", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def test_the_first_example_runs_unchanged_and_its_data_persists(tmp_path: Path) -> None:
    read = """
from open_alchemy import package_database
print(package_database.get().get_latest_spec_version(sub="user 1", name="my-spec"))
"""

    printed = run(EXAMPLE, tmp_path)
    found = run(read, tmp_path)

    assert printed == found == "1.0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["specs.db"]
    assert len([line for line in EXAMPLE.splitlines() if line]) <= 5


def test_the_example_of_caches_prints_what_it_states(tmp_path: Path) -> None:
    (example,) = (each for each in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "ExpiringDict" in each)
    (comment,) = re.findall(r"print\(.*\)  # (.*)", example)
    assert run(example, tmp_path) == f"{comment}\n"


def test_get_spec_raises_with_the_lines_for_services_of_version_4(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", UPGRADING, re.DOTALL)
    use = """
database.create_update_spec(sub="u", name="My.Spec", version="1", model_count=1)
print(package_database.get().get_spec(sub="u", name="my-spec")["version"])
try:
    package_database.get().get_spec(sub="u", name="missing")
except package_database.NotFoundError as error:
    print(error)
"""

    assert run(snippet + use, tmp_path) == "1\nthe user has no spec 'missing'\n"


def test_the_commands_of_the_command_line_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text("openapi: 3.1.0\ninfo: {title: My.Spec, version: '1'}\n", "utf-8")
    setting, *lines = COMMANDS
    url = setting.removeprefix("export PACKAGE_DATABASE_URL=")

    results = []
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "package-database"
        results.append(CliRunner().invoke(commands, [*arguments, "--url", url]))

    assert [result.exit_code for result in results] == [0] * len(lines)
    assert len(lines) == 7
    with package_database.connect(url) as database:
        assert database.get_latest_spec_version(sub="alice", name="my-spec") == "1"


def test_the_shell_completion_is_that_of_the_command() -> None:
    environment = {**os.environ, "_PACKAGE_DATABASE_COMPLETE": "zsh_source"}
    command = [sys.executable, "-m", "open_alchemy.package_database.cli"]

    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    assert "_PACKAGE_DATABASE_COMPLETE=bash_source package-database" in COMMAND_LINE
    assert "compdef _package_database_completion package-database" in finished.stdout
