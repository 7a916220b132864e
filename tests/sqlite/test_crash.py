"""A crash or a full disk at every write to the files: no acknowledged version is lost, and the file is never refused.

The writes are counted by a library that the C compiler builds and the loader preloads, so each is met exactly once. The
file is behind a symbolic link in another folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from open_alchemy import package_database
from tests.sqlite.crasher import DESCRIPTION, NAME, SUB
from tests.sqlite.earlier_file import MAKE_EARLIER, change

COMPILER = shutil.which("cc")
STORED: dict[str, set[str]] = {
    "no file": set(),
    "a log to check in": {"0.0", "0.1", "0.2"},
    "a file of an earlier version": {"0.0"},
}
"""The versions that are stored when the program of writes starts."""
MODES = {"killed before a write": 0, "killed in the middle of a write": 1, "the disk is full": 2}

pytestmark = pytest.mark.skipif(sys.platform != "linux" or COMPILER is None, reason="needs LD_PRELOAD and a C compiler")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("shim") / "crash.so"
    source = Path(__file__).with_name("crash_shim.c")
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def make_template(folder: Path, start: str) -> Path:
    """Makes a folder with a link to a file in another folder, as it is when the program of writes starts."""
    template = folder / "template"
    (template / "target").mkdir(parents=True)
    (template / "link.db").symlink_to(Path("target") / "a.db")
    if start == "a log to check in":
        with closing(package_database.connect(f"sqlite:///{folder / 'source.db'}")) as database:
            for number in range(3):
                database.create_update_spec(
                    sub=SUB, name=NAME, version=f"0.{number}", model_count=1, description=DESCRIPTION
                )
            for suffix in ("", "-wal"):
                shutil.copy(folder / f"source.db{suffix}", template / "target" / f"a.db{suffix}")
    if start == "a file of an earlier version":
        with closing(package_database.connect(f"sqlite:///{template / 'link.db'}")) as database:
            database.create_update_spec(sub=SUB, name=NAME, version="0.0", model_count=1)
        change(template / "target" / "a.db", MAKE_EARLIER)
    return template


@pytest.mark.parametrize(
    ("mode", "start"),
    [
        pytest.param(mode, start, marks=() if row == column else pytest.mark.long)
        for row, mode in enumerate(MODES)
        for column, start in enumerate(STORED)
    ],
)
def test_no_acknowledged_version_is_lost_at_any_write(tmp_path: Path, shim: Path, mode: str, start: str) -> None:
    template, copies = make_template(tmp_path, start), tmp_path / "copies"
    copies.mkdir()

    environment = {**os.environ, "LD_PRELOAD": str(shim), "CRASH_FOLDER": str(copies)}
    command = [sys.executable, "-m", "tests.sqlite.crasher", str(copies), str(template), str(MODES[mode])]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert finished.stderr == ""
    outcomes = json.loads(finished.stdout)
    assert len(outcomes) > 40
    for writes, (acknowledged, stored) in enumerate(outcomes, start=1):
        assert STORED[start] | set(acknowledged) <= set(stored), f"at write {writes}"
        assert {found.name for found in (copies / str(writes)).iterdir()} == {"link.db", "target"}
    assert len(outcomes[-1][0]) == 2
