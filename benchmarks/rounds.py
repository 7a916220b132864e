"""Interleaved rounds: each round measures every job once, so that a disturbance of the machine affects all of them.

pyperf measures one benchmark after the other, each in processes that it starts itself. A ratio of two peers then
contains the drift of the machine between them. Here a ratio compares samples of the same round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from .environments import PeerError
from .results import Results, Sample
from .workers import Worker

Measure = Callable[[], Sample]


def interleave(jobs: Mapping[tuple[str, str], Measure | str], rounds: int) -> Results:
    """Returns one sample per round of each job; a job that is a string is its own result.

    The cases of a round are measured in random order, and so are the peers of a case, one after the other: a ratio of
    two peers contains little of the machine's drift. The result of a job that fails is the reason.
    """
    results: dict[tuple[str, str], list[Sample] | str] = {
        name: job if isinstance(job, str) else [] for name, job in jobs.items()
    }
    order, cases = list(jobs), list({case: None for case, _ in jobs})
    random = Random(0)  # noqa: S311 (an order, not a secret)
    for _ in range(rounds):
        random.shuffle(order)
        random.shuffle(cases)
        order.sort(key=lambda job: cases.index(job[0]))
        for name in order:
            job, samples = jobs[name], results[name]
            if isinstance(job, str) or isinstance(samples, str):
                continue
            try:
                samples.append(job())
            except PeerError as error:
                results[name] = str(error)
    return results


def calls_jobs(
    workers: Mapping[str, Worker | str], cases: Mapping[str, tuple[str, int]], seconds: float, least: int = 1
) -> dict[tuple[str, str], Measure | str]:
    """Returns jobs that make calls for about the given time per round.

    Args:
        workers: The processes of the peers by name, or the reason why a peer did not start.
        cases: Titles, each with the name of a case and the number of concurrent calls.
        seconds: The time per job and round.
        least: The least number of calls of each thread or task. With one, the number of concurrent calls decreases
            from the first response on.
    """
    return {
        (title, peer): _job(worker, case, width, seconds, least)
        for title, (case, width) in cases.items()
        for peer, worker in workers.items()
    }


def _job(worker: Worker | str, case: str, width: int, seconds: float, least: int) -> Measure | str:
    """Opens connections, warms up and finds the number of calls; returns the reason if the peer fails."""
    if isinstance(worker, str):
        return worker
    try:
        worker.run(case, width, width)
        calls = max(least * width, round(seconds / worker.run(case, 4 * width, width).wall))
    except PeerError as error:
        return str(error)
    return lambda: worker.run(case, calls, width)
