"""How many calls a second one process makes with 1, 32 and 256 at once: in threads, or on asyncio."""

from __future__ import annotations

from contextlib import ExitStack

from ..loopback import running
from ..pictures import Bars, draw_bars
from ..report import Goal, Report, Settings, Suite, Table, spread_text
from ..rounds import Job, cpu, interleave, wall
from ..spread import Spread
from ..workers import AIOBOTO3, AIODYNAMO, BOTO3, PACKAGE, PACKAGE_ASYNC, VERSION_4, working

WIDTHS = (1, 32, 256)
PEERS = (PACKAGE, PACKAGE_ASYNC, BOTO3, VERSION_4, AIODYNAMO, AIOBOTO3)


def _run(settings: Settings) -> Report:
    rounds, seconds = (3, 0.1) if settings.is_quick else (11, 0.4)
    with ExitStack() as stack:
        url = stack.enter_context(running("benchmarks.canned"))
        workers = [stack.enter_context(working(peer, settings.python(peer), url)) for peer in PEERS]
        jobs = {f"{width}/{worker.peer.name}": Job(worker, "get_spec", width) for width in WIDTHS for worker in workers}
        samples = interleave(jobs, rounds=rounds, seconds=seconds)
    figures = {f"throughput/{name}": [1 / value for value in wall(spent)] for name, spent in samples.items()}
    rows = [
        (
            peer.name,
            *(spread_text(figures[f"throughput/{width}/{peer.name}"], _rate_text) for width in WIDTHS),
            spread_text(cpu(samples[f"{WIDTHS[-1]}/{peer.name}"])),
        )
        for peer in PEERS
    ]
    header = (
        "get_spec, calls a second (quartiles)",
        *(f"{width} at once" for width in WIDTHS),
        f"CPU time of a call, {WIDTHS[-1]} at once",
    )
    table = Table("throughput", header, rows)
    picture = draw_bars(
        "Calls of get_spec a second, one process",
        [
            Bars(
                f"{width} at once",
                {peer.name: Spread.of(figures[f"throughput/{width}/{peer.name}"]).median for peer in PEERS},
                _rate_text,
            )
            for width in WIDTHS
        ],
    )
    return Report((table,), {"throughput": picture}, figures)


def _rate_text(rate: float) -> str:
    return f"{rate:,.0f}"


SUITE = Suite(
    "throughput",
    _run,
    (
        Goal(
            "calls a second on asyncio, 256 at once, beside aiodynamo's",
            f"throughput/256/{PACKAGE_ASYNC.name}",
            f"throughput/256/{AIODYNAMO.name}",
            3.0,
            is_floor=True,
        ),
    ),
)
