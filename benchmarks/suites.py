"""The suites: their cases, peers, measurements and goals."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from open_alchemy.package_database.testing import postgresql_server

from . import broker_suite, cache_suite
from .environments import PACKAGE_POSTGRESQL, PACKAGE_TEST, PeerError, last_line
from .loopback import running
from .results import CPU, MEMORY, RATE, WALL, Goal, Results, Sample, Suite
from .rounds import Measure, calls_jobs, interleave
from .settings import Settings, started
from .workers import (
    AIOBOTO3,
    AIODYNAMO,
    BARE,
    BOTO3,
    FLOOR,
    PACKAGE,
    PACKAGE_ASYNC,
    PACKAGE_BOTO3,
    SCRIPTS,
    VERSION_4,
    Peer,
    json_lines,
    variables_of,
)

_PEERS: Final = (PACKAGE, PACKAGE_ASYNC, BOTO3, VERSION_4, AIODYNAMO, AIOBOTO3)
_LIST: Final = "list_specs, 1,000 specs"
_CALLS: Final = {
    "get_spec": ("get_spec", 1),
    "create_update_spec": ("create_update_spec", 1),
    _LIST: ("list_1000", 1),
    "get_user": ("get_user", 1),
}
_CONCURRENT: Final = {f"get_spec, {width} concurrent": ("get_spec", width) for width in (1, 32, 256)}
_COLD: Final = "first get_spec of a process"
_SQLITE: Final = {
    "get_spec": ("get_spec", 1),
    "SELECT of one row": ("select", 1),
    "create_update_spec, durable": ("create_update_spec", 1),
    "transaction of the same rows": ("transaction", 1),
    _LIST: ("list_1000", 1),
    "SELECT of 1,000 rows": ("select_1000", 1),
}
_SQLITE_PEER: Final = Peer("this package on SQLite", "sqlite_store")
_POSTGRESQL: Final = {
    "get_spec": ("get_spec", 1),
    "SELECT of one row": ("select", 1),
    "create_update_spec, durable": ("create_update_spec", 1),
    "transaction of the same rows": ("transaction", 1),
    _LIST: ("list_1000", 1),
    "SELECT of 1,000 rows": ("select_1000", 1),
    "get_spec of 256 users, 1 shard": ("users_1", 1),
    "get_spec of 256 users, 64 shards": ("users_64", 1),
    "get_spec, 1,000,000 versions stored": ("large", 1),
}
_POSTGRESQL_ASYNC: Final = {
    "get_spec, 256 concurrent": ("get_spec", 256),
    "SELECT of one row, 256 concurrent": ("select", 256),
    "get_spec of 256 users, 256 concurrent, 64 shards on 1 server": ("servers_1", 256),
    "get_spec of 256 users, 256 concurrent, 64 shards on 2 servers": ("servers_2", 256),
}
_DEADLINE: Final = {"PACKAGE_DATABASE_DEADLINE": "60"}
"""A call on a busy machine is measured, and does not fail."""
_POSTGRESQL_PEER: Final = Peer("this package on PostgreSQL", "postgresql_store", PACKAGE_POSTGRESQL, _DEADLINE)
_POSTGRESQL_ASYNC_PEER: Final = Peer("asyncio on PostgreSQL", "postgresql_store_async", PACKAGE_POSTGRESQL, _DEADLINE)
_TESTS: Final = "200 tests with clean tables"


def _calls(settings: Settings) -> Results:
    rounds, seconds = (3, 0.02) if settings.is_quick else (25, 0.04)
    with running("benchmarks.canned") as url, started(_PEERS, settings, url) as workers:
        return interleave(calls_jobs(workers, _CALLS, seconds), rounds)


def _concurrent(settings: Settings) -> Results:
    rounds, seconds, least = (3, 0.1, 1) if settings.is_quick else (7, 0.06, 4)
    with running("benchmarks.canned") as url, started(_PEERS, settings, url) as workers:
        return interleave(calls_jobs(workers, _CONCURRENT, seconds, least), rounds)


def _cold(settings: Settings) -> Results:
    peers = (PACKAGE, PACKAGE_ASYNC, PACKAGE_BOTO3, BOTO3, VERSION_4, FLOOR, BARE)
    with running("benchmarks.canned") as url:
        return interleave(
            {(_COLD, peer.name): _launch(peer, settings, url) for peer in peers}, 2 if settings.is_quick else 21
        )


def _launch(peer: Peer, settings: Settings, url: str) -> Measure | str:
    """Returns a function that starts a peer in a new process; starts it once, so that its files are cached."""
    try:
        python = settings.python(peer.environment)
    except PeerError as error:
        return str(error)
    command = [str(python), str(SCRIPTS / "first_call.py"), peer.module, url]
    variables = variables_of(peer, url)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        return last_line(done.stderr)

    def measure() -> Sample:
        # The launcher is a separate, small process: a child's peak memory includes that of its parent at the fork.
        with json_lines((python, "-I", "-S", SCRIPTS / "launcher.py"), variables) as lines:
            return Sample(**lines.request(command))

    return measure


def _sqlite(settings: Settings) -> Results:
    rounds, seconds = (3, 0.02) if settings.is_quick else (25, 0.04)
    with (
        TemporaryDirectory() as folder,
        started((_SQLITE_PEER,), settings, f"sqlite:///{folder}/a.db") as workers,
    ):
        return interleave(calls_jobs(workers, _SQLITE, seconds), rounds)


def _postgresql(settings: Settings) -> Results:
    rounds, seconds = (3, 0.05) if settings.is_quick else (19, 0.1)
    with (
        postgresql_server.run("fsync=on") as server,
        postgresql_server.run("fsync=on") as second,
        started((_POSTGRESQL_PEER,), settings, f"{server.url()} {second.url()}") as workers,
        started((_POSTGRESQL_ASYNC_PEER,), settings, f"{server.url()} {second.url()}") as loops,
    ):
        jobs = {**calls_jobs(workers, _POSTGRESQL, seconds), **calls_jobs(loops, _POSTGRESQL_ASYNC, 2 * seconds)}
        return interleave(jobs, rounds)


def _postgresql_goal(text: str, ours: str, theirs: str, limit: float) -> Goal:
    return Goal(text, WALL, (ours, _POSTGRESQL_PEER.name), (theirs, _POSTGRESQL_PEER.name), limit)


def _pytest(settings: Settings) -> Results:
    python = settings.python(PACKAGE_TEST)
    jobs = {(_TESTS, engine): _test_run(python, engine) for engine in ("sqlite", "dynamodb")}
    return interleave(jobs, 1 if settings.is_quick else 3)


def _test_run(python: Path, engine: str) -> Measure:
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS", "PYTEST", "PYTHON", "STAGE"))
    }
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--package-database-engine={engine}"]

    def run(*options: str) -> float:
        begin = time.perf_counter()
        subprocess.run([*command, *options], cwd=SCRIPTS / "service", env=variables, check=True, capture_output=True)
        return time.perf_counter() - begin

    def measure() -> Sample:
        # Subtracts the start of pytest and the collection, which do not depend on the engine. The fastest of three:
        # a slow start may take longer than the run on SQLite.
        start = min(run("--collect-only") for _ in range(3))
        return Sample(0.0, run() - start)

    return measure


SUITES: Final = (
    Suite(
        "calls",
        _calls,
        (CPU, WALL),
        (
            Goal("CPU of get_spec / boto3", CPU, ("get_spec", PACKAGE.name), ("get_spec", BOTO3.name), 1 / 6),
            Goal("CPU of get_spec / 4.0.1", CPU, ("get_spec", PACKAGE.name), ("get_spec", VERSION_4.name), 1 / 5),
            Goal("CPU of a list of 1,000 specs / boto3", CPU, (_LIST, PACKAGE.name), (_LIST, BOTO3.name), 1 / 6),
        ),
    ),
    Suite(
        "concurrent",
        _concurrent,
        (RATE, CPU),
        (
            Goal(
                "rate of 256 concurrent calls on asyncio / aiodynamo",
                RATE,
                ("get_spec, 256 concurrent", PACKAGE_ASYNC.name),
                ("get_spec, 256 concurrent", AIODYNAMO.name),
                3.5,
                is_floor=True,
            ),
        ),
    ),
    Suite(
        "cold",
        _cold,
        (WALL, CPU, MEMORY),
        (
            Goal("time of a cold start / boto3", WALL, (_COLD, PACKAGE.name), (_COLD, BOTO3.name), 1 / 4),
            Goal("time of a cold start / 4.0.1", WALL, (_COLD, PACKAGE.name), (_COLD, VERSION_4.name), 1 / 5),
            Goal("memory of a cold start / 4.0.1", MEMORY, (_COLD, PACKAGE.name), (_COLD, VERSION_4.name), 1 / 2),
        ),
    ),
    Suite(
        "sqlite",
        _sqlite,
        (CPU, WALL),
        (
            Goal(
                "CPU of get_spec on SQLite / SELECT",
                CPU,
                ("get_spec", _SQLITE_PEER.name),
                ("SELECT of one row", _SQLITE_PEER.name),
                4.0,
            ),
            Goal(
                "time of a durable create on SQLite / transaction",
                WALL,
                ("create_update_spec, durable", _SQLITE_PEER.name),
                ("transaction of the same rows", _SQLITE_PEER.name),
                2.0,
            ),
        ),
    ),
    Suite(
        "postgresql",
        _postgresql,
        (WALL, CPU, RATE),
        (
            _postgresql_goal("time of get_spec on PostgreSQL / SELECT", "get_spec", "SELECT of one row", 1.5),
            _postgresql_goal(
                "time of a durable create on PostgreSQL / transaction",
                "create_update_spec, durable",
                "transaction of the same rows",
                2.0,
            ),
            _postgresql_goal(
                "time of a list of 1,000 specs on PostgreSQL / SELECT", _LIST, "SELECT of 1,000 rows", 1.5
            ),
            _postgresql_goal(
                "time of get_spec on PostgreSQL, 64 shards / 1 shard",
                "get_spec of 256 users, 64 shards",
                "get_spec of 256 users, 1 shard",
                1.2,
            ),
            _postgresql_goal(
                "time of get_spec on PostgreSQL, 1,000,000 versions / 1,000",
                "get_spec, 1,000,000 versions stored",
                "get_spec",
                1.2,
            ),
            Goal(
                "rate of 256 concurrent calls on asyncio / psycopg",
                RATE,
                ("get_spec, 256 concurrent", _POSTGRESQL_ASYNC_PEER.name),
                ("SELECT of one row, 256 concurrent", _POSTGRESQL_ASYNC_PEER.name),
                0.8,
                is_floor=True,
            ),
        ),
    ),
    broker_suite.SUITE,
    cache_suite.CALLS,
    cache_suite.HITS,
    Suite(
        "pytest",
        _pytest,
        (WALL,),
        (
            Goal(
                "time of 200 tests, dynamodb / sqlite",
                WALL,
                (_TESTS, "dynamodb"),
                (_TESTS, "sqlite"),
                20.0,
                is_floor=True,
            ),
        ),
    ),
)
