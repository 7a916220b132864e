"""Where the time of a call goes: a stopwatch in this package's functions, in whole calls."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from ..loopback import running
from ..peers.package_stages import STAGES
from ..pictures import draw_stacks
from ..report import Report, Settings, Suite, Table, seconds_text
from ..rounds import Job, interleave
from ..spread import Spread
from ..workers import Peer, working

PEER = Peer("this package", "package_stages")
CASES = {"get_spec": "get_spec", "list_1000": "list_specs, 1,000 specs"}


def _run(settings: Settings) -> Report:
    rounds, seconds = (3, 0.02) if settings.is_quick else (25, 0.2)
    with ExitStack() as stack:
        url = stack.enter_context(running("benchmarks.canned"))
        worker = stack.enter_context(working(PEER, settings.python(PEER), url))
        samples = interleave({case: Job(worker, case) for case in CASES}, rounds=rounds, seconds=seconds)
    stacks = {
        title: {stage: Spread.of([sample.parts[stage] for sample in samples[case]]).median for stage in STAGES}
        for case, title in CASES.items()
    }
    picture = draw_stacks("Where the CPU time goes", stacks, seconds_text)
    return Report((_table(stacks),), {"stages": picture})


def _table(stacks: Mapping[str, Mapping[str, float]]) -> Table:
    rows = [
        (f"{title}: {stage}", seconds_text(seconds), f"{seconds / sum(stages.values()):.0%}")
        for title, stages in stacks.items()
        for stage, seconds in stages.items()
    ]
    return Table("stages", ("stage", "CPU time", "share"), rows)


SUITE = Suite("stages", _run)
