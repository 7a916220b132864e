"""Where the time of a call goes: each stage by itself, as what is left when the stages below it are taken away."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from ..loopback import running
from ..pictures import draw_stacks
from ..report import Report, Settings, Suite, Table, seconds_text
from ..rounds import Job, cpu, interleave
from ..spread import Spread
from ..workers import Peer, working

PEER = Peer("this package", "package_stages")
CASES = {"get_spec": "get_spec", "list_1000": "list_specs, 1,000 specs"}


def _run(settings: Settings) -> Report:
    rounds, seconds = (3, 0.02) if settings.is_quick else (25, 0.06)
    with ExitStack() as stack:
        url = stack.enter_context(running("benchmarks.canned"))
        worker = stack.enter_context(working(PEER, settings.python(PEER), url))
        samples = interleave({case: Job(worker, case) for case in worker.cases}, rounds=rounds, seconds=seconds)
    medians = {name: Spread.of(cpu(spent)).median for name, spent in samples.items()}
    stacks = {
        title: split({name.partition("/")[2]: value for name, value in medians.items() if name.startswith(f"{case}/")})
        for case, title in CASES.items()
    }
    rows = [
        (f"{title}: {stage}", seconds_text(value), f"{value / sum(stages.values()):.0%}")
        for title, stages in stacks.items()
        for stage, value in stages.items()
    ]
    table = Table("stages", ("stage", "CPU time", "share"), rows)
    return Report((table,), {"stages": draw_stacks("Where the CPU time goes", stacks, seconds_text)})


def split(times: Mapping[str, float]) -> dict[str, float]:
    """Returns what each stage takes by itself, of times that hold one another."""
    own = {
        "kernel: send and receive": times["socket"],
        "connection pool, HTTP parser": times["transport"] - times["socket"],
        "encode and sign the request": times["render"],
        "checksum and JSON of the answer": times["read"],
        "between the stages, and cold caches": times["attempt"] - times["transport"] - times["render"] - times["read"],
        "operation to request, attributes to values": times["engine"] - times["attempt"],
        "facade: checks, access pattern, result": times["call"] - times["engine"],
    }
    return {stage: max(value, 0.0) for stage, value in own.items()}


SUITE = Suite("stages", _run)
