"""Writers are killed while they write: acknowledged writes are stored, and none is half written.

The ordinary run kills 40, the long Hypothesis profile 500; ``test_crash`` ends a process at each of its writes. A kill
does not lose what the operating system was given: ``test_file`` checks that SQLite syncs each commit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from open_alchemy import package_database
from tests.concurrency.writer import NAME
from tests.sqlite.stored import check_file

KILLS = max(40, settings().max_examples // 8)
ROUNDS = 4
SUB = "u1"


def kill_writers(url: str, seed: int) -> list[str]:
    command = [sys.executable, "-m", "tests.sqlite.killer", url, SUB, str(KILLS // ROUNDS), str(seed)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    versions: list[str] = json.loads(finished.stdout)
    return versions


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_no_acknowledged_write_is_lost_to_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    acknowledged: list[str] = []

    for seed in range(ROUNDS):
        acknowledged += kill_writers(url, seed)
        # No process has the file open: this is what the killed ones left.
        check_file(tmp_path / "a.db", SUB)

    with package_database.connect(url) as database:
        versions = [info["version"] for info in database.list_spec_versions(sub=SUB, name=NAME)]
    assert len(acknowledged) > KILLS
    assert set(acknowledged) <= set(versions)
    assert len(versions) == len(set(versions))
    # Each killed writer may have stored one version that it did not acknowledge.
    assert len(versions) - len(acknowledged) <= KILLS
