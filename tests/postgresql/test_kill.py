"""The server is killed while writers write: every acknowledged version is stored, and none is half written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from open_alchemy.package_database import UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Item, Scan
from open_alchemy.package_database.database import Database
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing import postgresql_server
from open_alchemy.package_database.testing.postgresql_server import PostgreSQLServer
from tests.apis import connect_to
from tests.postgresql.databases import create_tables, write_shard_map
from tests.simulation.invariants import check_specs

KILLS = max(4, settings().max_examples // 80)
"""4 in an ordinary run, 50 in a long one."""
WRITERS = 4


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    with postgresql_server.run() as started:
        yield started


def write(database: Database, writer: int, is_over: threading.Event) -> tuple[list[str], int]:
    """Publishes versions until the end, and returns the acknowledged ones and the number of others."""
    acknowledged: list[str] = []
    unknown = 0
    while not is_over.is_set():
        version = f"{writer}.{len(acknowledged) + unknown}"
        try:
            database.create_update_spec(sub=f"u{writer % 2}", name="a", version=version, model_count=1)
            acknowledged.append(version)
        except UnavailableError:
            unknown += 1
    return acknowledged, unknown


def test_no_acknowledged_version_is_lost_to_a_kill_of_the_server(server: PostgreSQLServer) -> None:
    create_tables(server.url(), shards=2)
    is_over = threading.Event()

    with connect_to(from_url(server.url(), {"PACKAGE_DATABASE_DEADLINE": "60"})) as database:
        with ThreadPoolExecutor() as threads:
            writers = [threads.submit(write, database, writer, is_over) for writer in range(WRITERS)]
            try:
                for _ in range(KILLS):
                    # A version since the last start.
                    database.create_update_spec(sub="killer", name="a", version="1", model_count=1)
                    server.kill()
                    server.start()
            finally:
                is_over.set()
            results = [writer.result() for writer in writers]
        stored = [info["version"] for sub in ("u0", "u1") for info in database.list_spec_versions(sub=sub, name="a")]
        engine: Any = database.engine
        items = engine.execute(Scan(SPECS, 1_000_000), Deadline(60)).items

    acknowledged = [version for versions, _ in results for version in versions]
    assert len(acknowledged) >= KILLS
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert len(stored) - len(acknowledged) <= sum(unknown for _, unknown in results)
    check_specs(Stored(items))  # type: ignore[arg-type]


def test_data_survives_the_restart_of_both_servers(server: PostgreSQLServer, tmp_path: Path) -> None:
    with postgresql_server.run() as other:
        config = create_tables(write_shard_map(tmp_path, [server.url(), other.url()], 4), shards=4)
        subs = [f"u{number}" for number in range(8)]
        with connect_to(config) as database:
            for sub in subs:
                database.create_update_spec(sub=sub, name="a", version=sub, model_count=1)
        for one in (server, other):
            one.stop()
            one.start()

        with connect_to(config) as database:
            found = [database.get_latest_spec_version(sub=sub, name="a") for sub in subs]

    assert found == subs


class Stored:
    """The items of a store, by table and key."""

    def __init__(self, items: list[Item]) -> None:
        self.items = {(SPECS.name, *SPECS.key_of(item).values()): item for item in items}
