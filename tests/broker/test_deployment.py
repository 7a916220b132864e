"""The unit of systemd and the container file of the documentation."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from open_alchemy.package_database.cli.broker import broker_command
from tests.broker.processes import ROOT

FOLDER = ROOT / "docs" / "examples" / "broker"
UNIT = FOLDER / "package-database-broker.service"
CONTAINER = FOLDER / "Containerfile"


def check_command(arguments: list[str]) -> None:
    program, command, *options = arguments
    assert (Path(program).name, command) == ("package-database", "broker")
    # Raises an error if an option is unknown.
    context = broker_command.make_context("broker", options)
    assert context.params["keys"] is not None
    assert context.params["metrics"] is not None


def test_the_unit_starts_the_broker() -> None:
    (command,) = re.findall(r"^ExecStart=(.+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    check_command(shlex.split(command))


def test_the_container_starts_the_broker() -> None:
    text = CONTAINER.read_text(encoding="utf-8")
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)
    (rest,) = re.findall(r"^CMD (.+)$", text, re.MULTILINE)
    check_command(json.loads(entry) + json.loads(rest))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("/opt/package-database/bin/package-database", "/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("User=package-database", "User=root"), encoding="utf-8")
    command = ("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit))
    finished = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
    )
    named = [line for line in finished.stderr.splitlines() if UNIT.name in line]
    assert (finished.returncode, named) == (0, [])
