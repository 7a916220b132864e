"""What makes it fast: each means, beside what a call would cost without it."""

from __future__ import annotations

from contextlib import ExitStack

from ..loopback import running
from ..report import Report, Settings, Suite, Table, seconds_text, spread_text
from ..rounds import Job, cpu, interleave
from ..spread import Spread
from ..workers import PACKAGE, PACKAGE_BOTO3, Peer, working

PEER = Peer("this package", "package_savings")
MEANS = {
    "machinery": "requests and answers without boto3's machinery",
    "connection": "the connection is kept (no TLS)",
    "key": "the signing key is kept for a day",
    "parser": "the HTTP parser is in C, not http.client's",
}


def _run(settings: Settings) -> Report:
    rounds, seconds = (3, 0.02) if settings.is_quick else (25, 0.06)
    with ExitStack() as stack:
        url = stack.enter_context(running("benchmarks.canned"))
        worker, lean, heavy = (
            stack.enter_context(working(peer, settings.python(peer), url)) for peer in (PEER, PACKAGE, PACKAGE_BOTO3)
        )
        jobs = {case: Job(worker, case) for case in worker.cases}
        jobs |= {"machinery/without": Job(heavy, "get_spec"), "machinery/with": Job(lean, "get_spec")}
        spent = {name: cpu(samples) for name, samples in interleave(jobs, rounds=rounds, seconds=seconds).items()}
    saved = {
        means: Spread.of(
            [without - with_ for without, with_ in zip(spent[f"{means}/without"], spent[f"{means}/with"], strict=True)]
        ).median
        for means in MEANS
    }
    rows = [
        (
            MEANS[means],
            spread_text(spent[f"{means}/without"]),
            spread_text(spent[f"{means}/with"]),
            seconds_text(saved[means]),
        )
        for means in sorted(saved, key=lambda means: -saved[means])
    ]
    return Report((Table("savings", ("means", "without it", "with it", "saves of CPU time a call"), rows),))


SUITE = Suite("savings", _run)
