"""Measures in turns: what disturbs the machine disturbs all, and each round compares what it measured itself."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from .workers import Sample, Worker

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Job:
    """A case of a worker, with so many calls at once."""

    worker: Worker
    case: str
    width: int = 1


def interleave(jobs: Mapping[Name, Job], *, rounds: int, seconds: float) -> dict[Name, list[Sample]]:
    """Runs every job once a round, in an order that changes, and returns each job's samples, one a round.

    Args:
        jobs: By the names of their results.
        rounds: How many rounds.
        seconds: About how long a job takes in a round.
    """
    calls = {name: _calibrate(job, seconds) for name, job in jobs.items()}
    samples: dict[Name, list[Sample]] = {name: [] for name in jobs}
    random = Random(0)  # noqa: S311 (an order, not a secret)
    order = list(jobs)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            job = jobs[name]
            samples[name].append(job.worker.run(job.case, calls[name], job.width))
    return samples


def cpu(samples: Sequence[Sample]) -> list[float]:
    """Returns the seconds of CPU time."""
    return [sample.cpu for sample in samples]


def wall(samples: Sequence[Sample]) -> list[float]:
    """Returns the seconds on the clock."""
    return [sample.wall for sample in samples]


def _calibrate(job: Job, seconds: float) -> int:
    """Returns how many calls take about so long; connections are open and code is warm then."""
    job.worker.run(job.case, job.width, job.width)
    few = 4 * job.width
    return max(job.width, round(seconds / job.worker.run(job.case, few, job.width).wall))
