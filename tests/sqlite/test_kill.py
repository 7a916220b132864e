"""Writers are killed at random moments: what they were told is stored is stored, and nothing is half written.

The ordinary run kills 200, the long Hypothesis profile 500. A kill does not lose what the operating system was given:
that each commit is synced to the disk is asked of SQLite in ``test_file``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings

from open_alchemy import package_database
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Query
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_sqlite
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import MemoryStore
from tests.concurrency.writer import NAME
from tests.simulation.invariants import check_specs

KILLS = max(200, settings().max_examples // 8)
ROUNDS = 10
SUB = "u1"


def kill_writers(url: str, seed: int) -> list[str]:
    command = [sys.executable, "-m", "tests.sqlite.killer", url, SUB, str(KILLS // ROUNDS), str(seed)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    versions: list[str] = json.loads(finished.stdout)
    return versions


def check_file(path: Path) -> None:
    """Checks that the file is whole, and the invariants."""
    engine = open_sqlite(SQLiteConfig(path))
    engine.prepare()
    with closing(engine):
        model = MemoryStore()
        for item in engine.execute(Query(SPECS, SUB), Deadline(60)):
            sub, sort_key = SPECS.key_of(item).values()
            model.items[SPECS.name, sub.encode(), sort_key.encode()] = item
        whole = engine.run(lambda found: found.execute("PRAGMA integrity_check").fetchall(), "checking", Deadline(60))
    assert whole == [("ok",)]
    check_specs(model)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_no_acknowledged_write_is_lost_to_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    acknowledged: list[str] = []

    for seed in range(ROUNDS):
        acknowledged += kill_writers(url, seed)
        # Nobody has the file open: what the next one finds is what the killed have left.
        check_file(tmp_path / "a.db")

    with package_database.connect(url) as database:
        versions = [info["version"] for info in database.list_spec_versions(sub=SUB, name=NAME)]
    assert len(acknowledged) > KILLS
    assert set(acknowledged) <= set(versions)
    assert len(versions) == len(set(versions))
    # At most the one write that each was at when it was killed was stored and not acknowledged.
    assert len(versions) - len(acknowledged) <= KILLS
