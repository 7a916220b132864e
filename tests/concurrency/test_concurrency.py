"""Concurrent writers in threads and processes, on every store that executes transactions concurrently.

The DynamoDB is ministack; moto's server answers one request at a time. ministack pins a botocore, so it has
a virtual environment of its own, which ``scripts/install`` creates.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import NotFoundError, TDatabase
from open_alchemy.package_database.engines import registry
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing import postgresql_server
from open_alchemy.package_database.types import TConnectedDatabase
from tests.concurrency.writer import NAME

MINISTACK = Path(sys.prefix) / "ministack" / ("Scripts" if sys.platform == "win32" else "bin") / "ministack"
DEADLINE = 120


class Load(NamedTuple):
    """How many threads in how many processes write how many versions each."""

    processes: int
    writers: int
    versions: int


MODERATE = Load(processes=2, writers=8, versions=5)
LOADS = [MODERATE, *(pytest.param(Load(4, 32, versions), marks=pytest.mark.long) for versions in (10, 100))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def run_dynamodb(folder: Path) -> Iterator[str]:
    if not MINISTACK.exists():
        pytest.skip(
            f"ministack, a server that does transactions side by side, is not at {MINISTACK}: run scripts/install"
        )
    home, port = str(folder), free_port()
    settings = {"SERVICES": "dynamodb", "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR"}
    environment = {"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home, **settings}
    with subprocess.Popen([MINISTACK], env=environment, cwd=home, stdout=subprocess.DEVNULL) as server:
        try:
            await_port(port)
            yield f"dynamodb://127.0.0.1:{port}"
        finally:
            server.kill()


@contextmanager
def run_sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'a.db'}"


@contextmanager
def run_postgresql(_: Path) -> Iterator[str]:
    with postgresql_server.run() as server:
        yield server.url()


RUN: dict[str, Callable[[Path], Any]] = {
    "dynamodb": run_dynamodb,
    "sqlite": run_sqlite,
    "postgresql": run_postgresql,
}


@pytest.fixture(scope="module", params=RUN)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with both tables, that processes may share."""
    with pytest.MonkeyPatch.context() as patch, RUN[request.param](tmp_path_factory.mktemp("store")) as address:
        patch.setenv("PACKAGE_DATABASE_DEADLINE", str(DEADLINE))
        administration = registry.from_url(address, os.environ).open_engine(TABLES).administration()
        for table in TABLES:
            administration.create(table)
        yield address


def await_port(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("ministack did not start")


@pytest.fixture
def database(url: str) -> Iterator[TConnectedDatabase]:
    with package_database.connect(url) as opened:
        yield opened


def run_writers(url: str, sub: str, load: Load, *, deletes: int = 0) -> list[str]:
    """Runs the writers in their processes, all started together, and returns their errors."""
    each = load.writers // load.processes
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", "tests.concurrency.writer", url, sub),
                        *map(str, (first, each, load.versions, deletes)),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for first in range(0, load.writers, each)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        reports = [process.communicate("go\n")[0] for process in start_together(processes)]
    return [error for report in reports for error in json.loads(report)]


def start_together(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


@pytest.mark.parametrize("load", LOADS)
def test_no_version_of_many_writers_is_lost(url: str, database: TDatabase, load: Load) -> None:
    sub = f"u{uuid4()}"

    errors = run_writers(url, sub, load)

    infos = database.list_spec_versions(sub=sub, name=NAME)
    times = [info["updated_at"] for info in infos]
    assert errors == []
    assert {info["version"] for info in infos} == {
        f"{writer}.{version}" for writer in range(load.writers) for version in range(load.versions)
    }
    assert len(infos) == load.writers * load.versions
    assert times == sorted(set(times))
    assert database.get_spec(sub=sub, name=NAME) == infos[-1]
    assert database.count_customer_models(sub=sub) == infos[-1]["model_count"]


@pytest.mark.parametrize("load", LOADS[:2])
def test_deletes_between_many_writers_leave_a_whole_spec_or_none(url: str, database: TDatabase, load: Load) -> None:
    sub = f"u{uuid4()}"

    errors = run_writers(url, sub, load, deletes=2)

    try:
        infos = database.list_spec_versions(sub=sub, name=NAME)
    except NotFoundError:
        infos = []
    times = [info["updated_at"] for info in infos]
    assert errors == []
    assert times == sorted(set(times))
    assert database.get_spec(sub=sub, name=NAME) == next(reversed(infos), None)


@pytest.mark.parametrize("users", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_concurrent_users_are_isolated(database: TDatabase, users: int) -> None:
    run = uuid4()

    def live(number: int) -> list[object]:
        sub = f"{run} {number}"
        key = f"key of {sub}"
        database.create_update_spec(sub=sub, name="a", version=sub, model_count=number)
        database.create_update_credentials(
            sub=sub, id_="1", public_key=key, secret_key_hash=sub.encode(), salt=sub.encode()
        )
        user = database.get_user(public_key=key)
        assert user is not None
        return [
            [info["version"] for info in database.list_specs(sub=sub)],
            [info["public_key"] for info in database.list_credentials(sub=sub)],
            (user.sub, user.secret_key_hash, user.salt),
            database.count_customer_models(sub=sub),
        ]

    with ThreadPoolExecutor(32) as pool:
        seen = list(pool.map(live, range(users)))

    subs = [f"{run} {number}" for number in range(users)]
    assert seen == [
        [[sub], [f"key of {sub}"], (sub, sub.encode(), sub.encode()), number] for number, sub in enumerate(subs)
    ]
