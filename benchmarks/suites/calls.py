"""What one call costs, one after the other on one connection: this package beside its peers."""

from __future__ import annotations

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
PEERS = (PACKAGE, PACKAGE_ASYNC, BOTO3, VERSION_4, AIODYNAMO, AIOBOTO3, RAW, RAW_ASYNCIO)


def _run(settings: Settings) -> Report:
    rounds, seconds = (3, 0.02) if settings.is_quick else (25, 0.06)
    with ExitStack() as stack:
        url = stack.enter_context(running("benchmarks.canned"))
        workers = [stack.enter_context(working(peer, settings.python(peer), url)) for peer in PEERS]
        jobs = {
            f"{case}/{worker.peer.name}": Job(worker, case)
            for worker in workers
            for case in CASES
            if case in worker.cases
        }
        samples = interleave(jobs, rounds=rounds, seconds=seconds)
    figures = {f"calls/{name}/cpu": cpu(spent) for name, spent in samples.items()}
    figures |= {f"calls/{name}/wall": wall(spent) for name, spent in samples.items()}
    rows = [
        (f"{CASES[case]}: {peer}", *(spread_text(figures[f"calls/{name}/{what}"]) for what in ("cpu", "wall")))
        for name in sorted(jobs, key=lambda name: list(CASES).index(name.partition("/")[0]))
        for case, _, peer in (name.partition("/"),)
    ]
    table = Table("calls", ("call", "CPU time (quartiles)", "on the clock (quartiles)"), rows)
    picture = draw_bars(
        "CPU time of one call",
        [
            Bars(
                title,
                {
                    peer.name: Spread.of(figures[f"calls/{case}/{peer.name}/cpu"]).median
                    for peer in PEERS
                    if f"{case}/{peer.name}" in jobs
                },
                seconds_text,
            )
            for case, title in CASES.items()
        ],
    )
    return Report((table, _versions(workers)), {"calls": picture}, figures)


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
