"""Checks a file after a test."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Query
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_sqlite
from open_alchemy.package_database.model.schema import SPECS, TABLES
from open_alchemy.package_database.testing.memory import MemoryStore
from tests.simulation.invariants import check_specs


def check_file(path: Path, sub: str) -> set[str]:
    """Checks a file's integrity and schema, and the invariants of a user's specs, and returns all versions."""
    engine = open_sqlite(SQLiteConfig(path), TABLES)
    engine.prepare()
    model = MemoryStore()
    with closing(engine):
        items = engine.execute(Query(SPECS, sub), Deadline(60))
        found = engine.run(lambda found: found.execute("PRAGMA integrity_check").fetchall(), "checking", Deadline(60))
        differences = [found for table in TABLES for found in engine.administration().differences(table)]
    assert found == [("ok",)]
    assert differences == []
    for item in items:
        model.items[SPECS.name, sub.encode(), item["updated_at_id"].encode()] = item
    check_specs(model)
    return {item["version"] for item in items}
