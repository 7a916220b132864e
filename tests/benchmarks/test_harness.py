"""The harness at work, on this package alone and for a moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.__main__ import main
from benchmarks.loopback import running
from benchmarks.peers.examples import LISTS, NAME, PUBLIC_KEY, SUB
from benchmarks.peers.launcher import launch
from benchmarks.peers.worker import share_out
from benchmarks.report import Report, Settings, Suite, Table, spread_text
from benchmarks.rounds import Job, cpu, interleave
from benchmarks.suites import SUITES
from benchmarks.suites.growth import load
from benchmarks.workers import BARE, PACKAGE, PACKAGE_ASYNC, RAW, Peer, working
from tests.apis import config_of, open_api

PYTHON = Path(sys.executable)


def test_peers_are_measured_in_turns() -> None:
    with (
        running("benchmarks.canned") as url,
        working(PACKAGE, PYTHON, url) as blocking,
        working(PACKAGE_ASYNC, PYTHON, url) as awaiting,
        working(RAW, PYTHON, url) as raw,
    ):
        jobs = {
            f"{worker.peer.name}: {case}": Job(worker, case)
            for worker in (blocking, awaiting, raw)
            for case in worker.cases
        }
        jobs |= {f"wide {worker.peer.name}": Job(worker, "get_spec", 4) for worker in (blocking, awaiting)}
        samples = interleave(jobs, rounds=2, seconds=0.001)

    assert len(jobs) == 14
    assert {name: len(spent) for name, spent in samples.items()} == dict.fromkeys(jobs, 2)
    assert all(seconds > 0 for spent in samples.values() for seconds in cpu(spent))
    assert "open-alchemy.package-database" in blocking.versions


def test_the_canned_server_answers_what_is_asked() -> None:
    with running("benchmarks.canned") as url, open_api("lean", config_of(url)) as database:
        spec = database.get_spec(sub=SUB, name=NAME)
        user = database.get_user(public_key=PUBLIC_KEY)
        lists = {sub: len(database.list_specs(sub=sub)) for sub, _ in LISTS.values()}

    assert spec is not None
    assert spec["id"] == NAME
    assert user is not None
    assert (user.sub, user.secret_key_hash, user.salt) == (SUB, b"h" * 32, b"s" * 16)
    assert lists == dict(LISTS.values())


def test_the_store_is_read_and_written_as_the_table_is() -> None:
    with running("benchmarks.store") as url:
        load(url, specs=1, versions=200)
        with open_api("lean", config_of(url)) as database:
            database.create_update_spec(sub=SUB, name=NAME, version="9.0", model_count=1)
            database.create_update_spec(sub=SUB, name=NAME, version="10.0", model_count=1)
            versions = database.list_spec_versions(sub=SUB, name=NAME)
            database.delete_spec(sub=SUB, name=NAME)
            left = database.list_specs(sub=SUB)

    assert [info["version"] for info in versions] == ["2.0"] * 200 + ["9.0", "10.0"]
    assert left == []


def test_a_peer_that_fails_ends_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        running("benchmarks.canned") as url,
        pytest.raises(RuntimeError, match="ended with 1"),
        working(Peer("wrong", "no_such_module"), PYTHON, url),
    ):
        pass

    assert "no_such_module" in capfd.readouterr().err


@pytest.mark.parametrize(("calls", "width", "shares"), [(10, 1, [10]), (10, 4, [2, 2, 3, 3]), (4, 4, [1, 1, 1, 1])])
def test_calls_are_shared_out_evenly(calls: int, width: int, shares: list[int]) -> None:
    assert share_out(calls, width) == shares


def test_a_launch_tells_time_and_memory() -> None:
    spent = launch([sys.executable, "-c", "print('.', flush=True)"])

    assert spent["wall"] > 0
    assert spent["cpu"] > 0
    assert spent["memory"] > 1_000_000


def test_a_launch_that_fails_ends_the_run() -> None:
    with pytest.raises(SystemExit, match="ended with"):
        launch([sys.executable, "-c", "raise SystemExit(3)"])


def _one_case(settings: Settings) -> Report:
    del settings
    with running("benchmarks.canned") as url, working(BARE, PYTHON, url) as worker:
        samples = interleave({"bare": Job(worker, "get_spec")}, rounds=1, seconds=0.001)
    return Report((Table("bare", ("case", "CPU"), [("bare", spread_text(cpu(samples["bare"])))]),), {"bare": "<svg/>"})


def test_the_command_prints_tables_and_writes_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suites = [Suite("bare", _one_case), Suite("other", _one_case)]

    main(["--quick", "--only", "bare", "--pictures", str(tmp_path / "build")], suites)

    printed = capsys.readouterr().out
    assert printed.count("| bare |") == 1
    assert "| Python " in printed
    assert (tmp_path / "build" / "bare.svg").read_text() == "<svg/>"


@pytest.mark.parametrize("less", [["--quick"], ["--only", "bare"]])
def test_the_page_tells_of_a_whole_run(less: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--write", *less], [Suite("bare", _one_case)])

    assert "one whole run" in capsys.readouterr().err


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nothing is installed; what would be is listed here."""
    commands: list[str] = []
    monkeypatch.setattr("benchmarks.environments.subprocess.run", lambda command, **_: commands.append(command[-1]))
    monkeypatch.setattr("benchmarks.environments.venv.create", lambda home, **_: home.mkdir(exist_ok=True))
    return commands


def test_an_environment_that_is_up_to_date_is_kept(tmp_path: Path, installed: list[str]) -> None:
    first = environments.python_of(environments.VERSION_4, tmp_path)
    second = environments.python_of(environments.VERSION_4, tmp_path)

    assert first == second == tmp_path / "version4" / "bin" / "python"
    assert installed == ["pynamodb<6"]


def test_another_requirement_makes_an_environment_anew(tmp_path: Path, installed: list[str]) -> None:
    environments.python_of(environments.Environment("peer", ("one",)), tmp_path)
    environments.python_of(environments.Environment("peer", ("two",)), tmp_path)

    assert installed == ["one", "two"]


def test_a_change_of_the_package_makes_its_environment_anew(
    tmp_path: Path, installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "checkout" / "open_alchemy" / "module.py"
    module.parent.mkdir(parents=True)
    checkout = module.parents[1]
    (checkout / "pyproject.toml").touch()
    monkeypatch.setattr(environments, "CHECKOUT", checkout)
    extras = environments.Environment("extras", (f"{checkout}[test]",))

    for content in ("one", "one", "two"):
        module.write_text(content)
        environments.python_of(extras, tmp_path)

    assert installed == [f"{checkout}[test]"] * 2


def test_every_table_and_picture_has_a_place_in_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    tables = {
        "goals", "machine", "calls", "versions", "throughput", "cold", "imports", "growth", "exponents", "savings",
        "stages",
    }  # fmt: skip

    assert len({suite.name for suite in SUITES}) == len(SUITES)
    assert all(page.count(f"<!-- table: {name} -->") == 1 for name in tables)
    assert all(f"performance/{name}.svg" in page for name in ("calls", "throughput", "cold", "growth", "stages"))
