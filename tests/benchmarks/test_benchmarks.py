"""The benchmark harness, run briefly and only on this package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cache_suite, environments, page
from benchmarks.__main__ import main
from benchmarks.environments import Environment, PeerError
from benchmarks.loopback import running
from benchmarks.peers.examples import LISTS, NAME, PUBLIC_KEY, SUB
from benchmarks.peers.launcher import launch
from benchmarks.peers.worker import percentiles, share_out
from benchmarks.results import CPU, P99, WALL, Goal, Results, Sample, Suite, ratio_text, seconds_text
from benchmarks.rounds import calls_jobs, interleave
from benchmarks.settings import Settings
from benchmarks.suites import SUITES
from benchmarks.workers import PACKAGE, PACKAGE_ASYNC, Peer, Worker, running_worker
from tests.apis import config_of, open_api

PYTHON = Path(sys.executable)
OURS, THEIRS = ("get_spec", "ours"), ("get_spec", "theirs")
SAMPLES = [Sample(1.0, 2.0), Sample(1.0, 4.0), Sample(1.0, 6.0)]


def test_all_jobs_are_measured_once_per_round() -> None:
    cases = {"one": ("get_spec", 1), "four": ("get_spec", 4), "list": ("list_1000", 1)}

    with (
        running("benchmarks.canned") as url,
        running_worker(PACKAGE, PYTHON, url) as blocking,
        running_worker(PACKAGE_ASYNC, PYTHON, url) as awaiting,
    ):
        results = interleave(calls_jobs({"sync": blocking, "async": awaiting}, cases, seconds=0.001), rounds=2)

    assert {name: len(samples) for name, samples in results.items()} == {
        (case, peer): 2 for case in cases for peer in ("sync", "async")
    }
    assert all(sample.cpu > 0 for samples in results.values() for sample in samples if isinstance(sample, Sample))
    assert "open-alchemy.package-database" in blocking.versions


def test_the_canned_server_returns_valid_responses() -> None:
    with running("benchmarks.canned") as url, open_api("lean", config_of(url)) as database:
        spec = database.get_spec(sub=SUB, name=NAME)
        user = database.get_user(public_key=PUBLIC_KEY)
        lists = {sub: len(database.list_specs(sub=sub)) for sub, _ in LISTS.values()}

    assert spec is not None
    assert spec["id"] == NAME
    assert user is not None
    assert (user.sub, user.secret_key_hash, user.salt) == (SUB, b"h" * 32, b"s" * 16)
    assert lists == dict(LISTS.values())


def test_a_peer_that_does_not_start_has_a_reason() -> None:
    with (
        running("benchmarks.canned") as url,
        pytest.raises(PeerError, match="No module named 'benchmarks.peers.no_such_module'"),
        running_worker(Peer("wrong", "no_such_module"), PYTHON, url),
    ):
        pass


def test_a_peer_that_fails_a_case_has_a_reason() -> None:
    with running("benchmarks.canned") as url, running_worker(PACKAGE, PYTHON, url) as worker:
        results = interleave(calls_jobs({"ours": worker, "other": "no pip"}, {"c": ("no case", 1)}, 0.001), rounds=1)

    assert results == {("c", "ours"): "KeyError: 'no case'", ("c", "other"): "no pip"}


def test_a_peer_that_fails_later_has_a_reason() -> None:
    def fail() -> Sample:
        raise PeerError("its process has ended")

    results = interleave({OURS: lambda: SAMPLES[0], THEIRS: fail}, rounds=2)

    assert results == {OURS: [SAMPLES[0]] * 2, THEIRS: "its process has ended"}


def test_the_peers_of_a_case_are_measured_one_after_the_other() -> None:
    measured: list[str] = []

    def job(case: str) -> Callable[[], Sample]:
        def measure() -> Sample:
            measured.append(case)
            return SAMPLES[0]

        return measure

    interleave({(case, peer): job(case) for peer in "xyz" for case in "abcd"}, rounds=5)

    assert all(len(set(measured[place : place + 3])) == 1 for place in range(0, len(measured), 3))
    assert len({tuple(measured[place : place + 12]) for place in range(0, len(measured), 12)}) > 1


@pytest.mark.parametrize(("wall", "calls"), [(0.5, 8), (0.001, 100)])
def test_each_task_makes_the_least_number_of_calls(wall: float, calls: int) -> None:
    made: list[int] = []

    class Slow(Worker):
        def __init__(self) -> None:
            """Starts no process."""

        def run(self, case: str, calls: int, width: int = 1) -> Sample:
            made.append(calls)
            return Sample(1.0, wall)

    interleave(calls_jobs({"ours": Slow()}, {"get_spec": ("get_spec", 2)}, seconds=0.1, least=4), rounds=1)

    assert made[-1] == calls


def suite_of(results: Results, *goals: Goal) -> Suite:
    return Suite("calls", lambda _settings: results, (CPU, WALL), goals)


def test_rows_show_median_and_quartiles_or_the_reason() -> None:
    rows = suite_of({OURS: SAMPLES, THEIRS: "no module"}).rows({OURS: SAMPLES, THEIRS: "no module"})

    assert rows == [
        ("get_spec: ours", "1 s (1 s - 1 s)", "4 s (3 s - 5 s)"),
        ("get_spec: theirs", "did not start: no module", ""),
    ]


@pytest.mark.parametrize(
    ("limit", "is_floor", "verdict"),
    [(2.0, False, "met"), (1.5, False, "missed"), (2.0, True, "met"), (3, True, "missed")],
)
def test_a_goal_limits_the_median_of_the_ratios(limit: float, *, is_floor: bool, verdict: str) -> None:
    goal = Goal("ratio", WALL, OURS, THEIRS, limit, is_floor=is_floor)
    other = [Sample(1.0, 1.0), Sample(1.0, 2.0), Sample(1.0, 1.0)]

    assert goal.row({OURS: SAMPLES, THEIRS: other})[2:] == ("2 (2 - 4)", verdict)


def test_a_goal_without_a_denominator_limits_the_median() -> None:
    goal = Goal("time", WALL, OURS, None, 3.0)

    assert goal.row({OURS: SAMPLES}) == ("time", "at most 3 s", "4 s (3 s - 5 s)", "missed")


def test_a_suite_may_draw_its_results_itself(tmp_path: Path) -> None:
    suite = Suite("drawn", lambda _: {}, (CPU,), draw=lambda results, path: path.write_text(str(results)))

    page.draw(suite, {OURS: "no module"}, tmp_path / "new")

    assert (tmp_path / "new" / "drawn.svg").read_text() == "{('get_spec', 'ours'): 'no module'}"


def test_peers_are_compared_within_a_case_and_else_all_cases() -> None:
    one, two = [Sample(1.0, 1.0)], [Sample(2.0, 1.0)]

    assert page.compared(CPU, {("read", "ours"): one, ("read", "theirs"): two}) == {
        "read: CPU time": {"ours": 1.0, "theirs": 2.0}
    }
    assert page.compared(CPU, {("read", "ours"): one, ("write", "ours"): two, ("list", "ours"): "no module"}) == {
        "CPU time": {"read: ours": 1.0, "write: ours": 2.0}
    }


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("suite", [cache_suite.CALLS, cache_suite.HITS], ids=lambda suite: suite.name)
def test_the_suites_of_caches_run(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(Settings, "python", lambda *_: PYTHON)

    results = suite.run(Settings(tmp_path, is_quick=True))
    page.draw(suite, results, tmp_path)

    assert len(suite.rows(results)) == len(results)
    assert all(goal.row(results)[-1] != "not measured" for goal in suite.goals)
    assert "</svg>" in (tmp_path / f"{suite.name}.svg").read_text()


def test_the_stale_reads_are_counted() -> None:
    intervals = [cache_suite.Interval(0, 0, reads=10, hits=9, stale=2), cache_suite.Interval(0, 0, reads=5)]

    rows = cache_suite.HITS.rows({OURS: intervals})

    assert rows == [("get_spec: ours", "9 of 15", "2 of 15")]


def test_a_goal_without_a_peer_is_not_measured() -> None:
    assert Goal("ratio", WALL, OURS, THEIRS, 2.0).row({OURS: SAMPLES, THEIRS: "x"})[2:] == ("-", "not measured")


@pytest.mark.parametrize(("ratio", "text"), [(0.25, "1/4"), (1 / 4.56, "1/4.6"), (1, "1"), (3.49, "3.5")])
def test_ratios_are_fractions_below_one(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.345, "12.3 s"), (0.1, "100 ms"), (0.0123456, "12.3 ms"), (4.1e-6, "4.1 us")]
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_tables_replace_the_text_between_their_markers() -> None:
    text = "a\n<!-- table: x -->\nold\n<!-- end -->\nb\n"

    once = page.with_tables(text, {"x": "new"})

    assert once == "a\n<!-- table: x -->\n\nnew\n<!-- end -->\nb\n"
    assert page.with_tables(once, {"x": "new"}) == once
    with pytest.raises(ValueError, match="no markers for the table y"):
        page.with_tables(text, {"y": "new"})


@pytest.mark.parametrize(("calls", "width", "shares"), [(10, 1, [10]), (10, 4, [2, 2, 3, 3]), (4, 4, [1, 1, 1, 1])])
def test_calls_are_shared_evenly(calls: int, width: int, shares: list[int]) -> None:
    assert share_out(calls, width) == shares


def test_percentiles_are_those_of_the_latencies() -> None:
    assert percentiles([float(number) for number in range(100, 0, -1)]) == {"median": 51.0, "p99": 100.0}
    assert percentiles([]) == {}


def test_a_quantity_that_was_not_measured_is_a_dash() -> None:
    assert P99.cell(SAMPLES) == "-"


def test_a_launch_measures_time_and_memory() -> None:
    spent = launch([sys.executable, "-c", "print('.', flush=True)"])

    assert spent["wall"] > 0
    assert spent["cpu"] > 0
    assert spent["memory"] > 1_000_000
    with pytest.raises(SystemExit, match="ended with"):
        launch([sys.executable, "-c", "raise SystemExit(3)"])


def test_the_command_prints_tables_and_draws_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    goal = Goal("ratio", WALL, OURS, THEIRS, 2.0)
    suites = [suite_of({OURS: SAMPLES, THEIRS: SAMPLES}, goal), Suite("other", lambda _: {}, (CPU,))]

    main(["calls", "--quick", "--pictures", str(tmp_path)], suites)

    printed = " ".join(capsys.readouterr().out.split())
    assert "| get_spec: ours | 1 s (1 s - 1 s) |" in printed
    assert "| ratio | at most 2 | 1 (1 - 1) | met |" in printed
    assert "</svg>" in (tmp_path / "calls.svg").read_text()


@pytest.mark.parametrize("option", [["--quick"], ["calls"]])
def test_the_page_describes_a_complete_run(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--write", *option], [suite_of({})])

    assert "one complete run" in capsys.readouterr().err


def test_an_unknown_suite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cals"], [suite_of({})])

    assert "there is no suite cals" in capsys.readouterr().err


def test_a_suite_that_fails_loses_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Settings) -> Results:
        raise PeerError("no pip\ndetails")

    drawn: list[tuple[str, Path]] = []
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "PICTURES", tmp_path)
    monkeypatch.setattr(page, "draw", lambda suite, _, folder: drawn.append((suite.name, folder)))
    names = ("calls", "broken", "other", "goals", "machine")
    page.PAGE.write_text("".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in names))
    goal = Goal("ratio", WALL, OURS, THEIRS, 2.0)
    broken = Suite("broken", fail, (CPU, WALL), [goal])
    results: Results = {OURS: SAMPLES, THEIRS: SAMPLES}

    with pytest.raises(SystemExit) as stopped:
        main(["--write"], [suite_of(results, goal), broken, Suite("other", lambda _: results, (CPU,))])

    written = " ".join(page.PAGE.read_text().split())
    assert drawn == [("calls", tmp_path), ("other", tmp_path)]
    assert stopped.value.code == 1
    assert "not measured: broken" in capsys.readouterr().err
    assert written.count("| get_spec: ours | 1 s (1 s - 1 s) |") == 2
    assert "| get_spec: ours | did not start: PeerError: no pip | |" in written
    assert "| ratio | at most 2 | 1 (1 - 1) | met |" in written
    assert "| ratio | at most 2 | - | not measured |" in written


def test_a_page_without_a_table_is_refused_before_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    page.PAGE.write_text("no table\n")
    measured: list[Settings] = []

    def measure(settings: Settings) -> Results:
        measured.append(settings)
        return {}

    with pytest.raises(ValueError, match="no markers for the table calls"):
        main(["--write"], [Suite("calls", measure, (CPU,))])

    assert not measured


class Pip:
    """Records the requirements instead of installing them."""

    def __init__(self) -> None:
        self.requirements: list[str] = []
        self.error = ""

    def __call__(self, command: list[str], **_: Any) -> Any:
        self.requirements.append(command[-1])
        return type("Done", (), {"returncode": bool(self.error), "stderr": self.error})


@pytest.fixture(name="pip")
def pip_(monkeypatch: pytest.MonkeyPatch) -> Pip:
    pip = Pip()
    monkeypatch.setattr("benchmarks.environments.subprocess.run", pip)
    monkeypatch.setattr("benchmarks.environments.venv.create", lambda home, **_: home.mkdir(exist_ok=True))
    return pip


def test_an_environment_is_installed_once_per_requirements(tmp_path: Path, pip: Pip) -> None:
    pythons = {environments.python_of(Environment("peer", (name,)), tmp_path) for name in ("one", "one", "two")}

    assert pythons == {tmp_path / "peer" / "bin" / "python"}
    assert pip.requirements == ["one", "two"]


def test_a_change_of_the_package_replaces_its_environment(
    tmp_path: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "checkout" / "open_alchemy" / "module.py"
    module.parent.mkdir(parents=True)
    checkout = module.parents[1]
    (checkout / "pyproject.toml").touch()
    monkeypatch.setattr(environments, "CHECKOUT", checkout)
    extras = Environment("extras", (f"{checkout}[test]",))

    for content in ("one", "one", "two"):
        module.write_text(content)
        environments.python_of(extras, tmp_path)

    assert pip.requirements == [f"{checkout}[test]"] * 2


def test_an_environment_that_pip_cannot_install_has_a_reason(tmp_path: Path, pip: Pip) -> None:
    pip.error = "details\nERROR: no matching distribution"

    with pytest.raises(PeerError, match="ERROR: no matching distribution"):
        Settings(tmp_path).python(Environment("peer", ("one",)))


def test_the_page_has_markers_for_every_table_and_links_every_picture() -> None:
    text = page.PAGE.read_text(encoding="utf-8")

    assert all(text.count(f"<!-- table: {name} -->") == 1 for name in ("goals", "machine", *(s.name for s in SUITES)))
    assert all(f"performance/{suite.name}.svg" in text for suite in SUITES)
