"""The SQLite store: beside bare statements, as it grows, and as the store of a service's tests."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ..environments import PACKAGE_TEST
from ..peers.sqlite_store import connect, fill
from ..report import Goal, Report, Settings, Suite, Table, seconds_text, spread_text
from ..rounds import Job, cpu, interleave, wall
from ..spread import Spread, exponent
from ..workers import Peer, Sample, working

PEER: Final = Peer("this package on SQLite", "sqlite_store")
TESTING: Final = Peer("a service's tests", "sqlite_store", PACKAGE_TEST)
CASES: Final = {
    "get_spec": "get_spec",
    "select": "a prepared SELECT of its row",
    "create_update_spec": "create_update_spec, durable",
    "transaction": "the bare transaction, durable",
    "list_1000": "list_specs, 1,000 specs",
    "select_1000": "a SELECT of their rows",
}
_SIZES: Final = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_GROWING: Final = ("get_spec", "create_update_spec", "list_1000")
_ENGINES: Final = ("sqlite", "dynamodb")
_TESTS: Final = 200
_TEST_FILE: Final = """\
import pytest

from open_alchemy import package_database


@pytest.mark.parametrize("number", range({tests}))
@pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")
def test_a_service(number):
    database = package_database.get()
    database.create_update_spec(sub="user", name="My.Spec", version=str(number), model_count=3)
    database.create_update_credentials(
        sub="user", id_="laptop", public_key="key", secret_key_hash=b"hash", salt=b"salt"
    )
    assert database.get_latest_spec_version(sub="user", name="my-spec") == str(number)
    assert [info["id"] for info in database.list_specs(sub="user")] == ["my-spec"]
    assert database.get_user(public_key="key").sub == "user"
"""


def _run(settings: Settings) -> Report:
    tables, figures = _beside_bare_statements(settings)
    growth = _growth(settings)
    tests, test_figures = _tests(settings)
    return Report((*tables, *growth, tests), figures=figures | test_figures)


def _beside_bare_statements(settings: Settings) -> tuple[list[Table], dict[str, Sequence[float]]]:
    rounds, seconds = (3, 0.02) if settings.is_quick else (25, 0.06)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        worker = stack.enter_context(working(PEER, settings.python(PEER), f"sqlite:///{folder}/calls.db"))
        samples = interleave({case: Job(worker, case) for case in CASES}, rounds=rounds, seconds=seconds)
    rows = [(CASES[case], spread_text(cpu(spent)), spread_text(wall(spent))) for case, spent in samples.items()]
    table = Table("sqlite", ("call", "CPU time (quartiles)", "on the clock (quartiles)"), rows)
    figures: dict[str, Sequence[float]] = {f"sqlite/{case}/cpu": cpu(spent) for case, spent in samples.items()}
    return [table], figures | {f"sqlite/{case}/wall": wall(spent) for case, spent in samples.items()}


def _growth(settings: Settings) -> list[Table]:
    sizes = _SIZES[:3] if settings.is_quick else _SIZES
    points: dict[str, dict[int, float]] = {case: {} for case in _GROWING}
    for size in sizes:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory())
            url = f"sqlite:///{folder}/growth.db"
            worker = stack.enter_context(working(PEER, settings.python(PEER), url))
            connection = connect(url)
            stack.callback(connection.close)
            fill(connection, ((f"user {number // 10}", f"spec-{number}") for number in range(size // 2)))
            for case in _GROWING:
                worker.run(case, 3)
                spent: list[Sample] = [worker.run(case, 10) for _ in range(5)]
                points[case][size] = Spread.of(wall(spent)).median
    header = ("items stored", *(CASES[case] for case in _GROWING))
    rows = [(f"{size:,}", *(seconds_text(points[case][size]) for case in _GROWING)) for size in sizes]
    rows.append(("exponent", *(f"{exponent(list(sizes), list(points[case].values())):.2f}" for case in _GROWING)))
    return [Table("sqlite growth", header, rows)]


def _tests(settings: Settings) -> tuple[Table, dict[str, Sequence[float]]]:
    """Runs a service's test file on either engine, in turns.

    What pytest takes to start and to collect is none of the engines', and is measured and left out.
    """
    python = settings.python(TESTING)
    figures: dict[str, list[float]] = {f"sqlite/tests/{engine}": [] for engine in _ENGINES}
    with TemporaryDirectory() as folder:
        (Path(folder) / "test_service.py").write_text(_TEST_FILE.format(tests=_TESTS), encoding="utf-8")
        for _ in range(1 if settings.is_quick else 3):
            start = _run_tests(python, Path(folder), "sqlite", "--collect-only")
            for engine in _ENGINES:
                figures[f"sqlite/tests/{engine}"].append(_run_tests(python, Path(folder), engine) - start)
    rows = [
        (f"{_TESTS} tests with clean tables, {engine}", spread_text(figures[f"sqlite/tests/{engine}"]))
        for engine in _ENGINES
    ]
    table = Table("sqlite tests", ("tests, without the start of pytest", "on the clock (quartiles)"), rows)
    return table, dict(figures)


def _run_tests(python: Path, folder: Path, engine: str, *more: str) -> float:
    options = [*more, "-q", "-p", "no:cacheprovider", f"--package-database-engine={engine}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS", "PYTEST", "STAGE"))}
    begin = time.perf_counter()
    subprocess.run([python, "-m", "pytest", *options], cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


SUITE = Suite(
    "sqlite",
    _run,
    (
        Goal("CPU time of get_spec on SQLite, beside a SELECT", "sqlite/get_spec/cpu", "sqlite/select/cpu", 4.0),
        Goal(
            "create_update_spec on SQLite, beside the bare transaction",
            "sqlite/create_update_spec/wall",
            "sqlite/transaction/wall",
            2.0,
        ),
        Goal(
            f"{_TESTS} tests with clean tables, local DynamoDB beside SQLite",
            "sqlite/tests/dynamodb",
            "sqlite/tests/sqlite",
            20.0,
            is_floor=True,
        ),
    ),
)
