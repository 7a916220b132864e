"""What one call costs, one after the other on one connection: this package beside its peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from ..loopback import running
from ..pictures import Bars, draw_bars
from ..report import Goal, Report, Settings, Suite, Table, seconds_text, spread_text
from ..rounds import Job, cpu, interleave, wall
from ..spread import Spread
from ..workers import (
    AIOBOTO3,
    AIODYNAMO,
    BOTO3,
    PACKAGE,
    PACKAGE_ASYNC,
    RAW,
    RAW_ASYNCIO,
    VERSION_4,
    Sample,
    Worker,
    working,
)

CASES = {
    "get_spec": "get_spec",
    "create_update_spec": "create_update_spec",
    "list_20": "list_specs, 20 specs",
    "list_1000": "list_specs, 1,000 specs",
    "get_user": "get_user",
    "presigned": "get_spec, signed once",
}
_Samples = Mapping[tuple[str, str], Sequence[Sample]]
"""By case and peer."""

PEERS = (PACKAGE, PACKAGE_ASYNC, BOTO3, VERSION_4, AIODYNAMO, AIOBOTO3, RAW, RAW_ASYNCIO)


def _run(settings: Settings) -> Report:
    rounds, seconds = (3, 0.02) if settings.is_quick else (25, 0.06)
    with ExitStack() as stack:
        url = stack.enter_context(running("benchmarks.canned"))
        workers = [stack.enter_context(working(peer, settings.python(peer), url)) for peer in PEERS]
        jobs = {
            (case, worker.peer.name): Job(worker, case) for case in CASES for worker in workers if case in worker.cases
        }
        samples = interleave(jobs, rounds=rounds, seconds=seconds)
    figures = {_cpu(*place): cpu(spent) for place, spent in samples.items()}
    return Report((_table(samples), _versions(workers)), {"calls": _picture(samples)}, figures)


def _table(samples: _Samples) -> Table:
    rows = [
        (f"{CASES[case]}: {peer}", spread_text(cpu(spent)), spread_text(wall(spent)))
        for (case, peer), spent in samples.items()
    ]
    return Table("calls", ("call", "CPU time (quartiles)", "on the clock (quartiles)"), rows)


def _picture(samples: _Samples) -> str:
    medians = {place: Spread.of(cpu(spent)).median for place, spent in samples.items()}
    panels = [
        Bars(title, {peer: median for (asked, peer), median in medians.items() if asked == case}, seconds_text)
        for case, title in CASES.items()
    ]
    return draw_bars("CPU time of one call", panels)


def _versions(workers: list[Worker]) -> Table:
    rows = [
        (worker.peer.name, ", ".join(f"{name} {version}" for name, version in worker.versions.items()))
        for worker in workers
        if worker.versions
    ]
    return Table("versions", ("peer", "versions"), rows)


def _cpu(case: str, peer: str) -> str:
    return f"calls/{case}/{peer}/cpu"


SUITE = Suite(
    "calls",
    _run,
    (
        Goal(
            "CPU time of get_spec, beside boto3's get_item",
            _cpu("get_spec", PACKAGE.name),
            _cpu("get_spec", BOTO3.name),
            1 / 6,
        ),
        Goal(
            "CPU time of get_spec, beside version 4.0.1's",
            _cpu("get_spec", PACKAGE.name),
            _cpu("get_spec", VERSION_4.name),
            1 / 5,
        ),
        Goal(
            "CPU time of get_spec on asyncio, beside a raw socket",
            _cpu("get_spec", PACKAGE_ASYNC.name),
            _cpu("get_spec", RAW.name),
            4.0,
        ),
        Goal(
            "CPU time of a list of 1,000 specs, beside boto3's",
            _cpu("list_1000", PACKAGE.name),
            _cpu("list_1000", BOTO3.name),
            1 / 5,
        ),
    ),
)
