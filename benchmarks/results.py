"""Samples of a run by case and peer, and the rows of tables and goals that are computed from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one case.

    Attributes:
        cpu: Seconds of CPU time per call.
        wall: Seconds of wall time per call: the time of the round by the number of calls.
        memory: Peak memory in bytes.
        median: The median of the latencies of its calls in seconds, where they are measured.
        p99: Their 99th percentile.
    """

    cpu: float
    wall: float
    memory: float = 0.0
    median: float = 0.0
    p99: float = 0.0


Results: TypeAlias = Mapping[tuple[str, str], Sequence[Sample] | str]
"""One sample per round, or the reason why the peer did not start, by case and peer."""


@dataclass(frozen=True, slots=True)
class Column:
    """A quantity of a sample."""

    title: str
    value: Callable[[Sample], float]
    text: Callable[[float], str]

    def cell(self, samples: Sequence[Sample]) -> str:
        """Returns the median and the quartiles; a dash if the quantity was not measured."""
        low, middle, high = quartiles([self.value(sample) for sample in samples])
        if not high:
            return "-"
        return f"{self.text(middle)} ({self.text(low)} - {self.text(high)})"


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit on a result, or on the ratio of two results of the same run.

    Attributes:
        text: The description of the quantity or the ratio.
        column: The quantity.
        ours: Case and peer of the result or the numerator.
        theirs: Case and peer of the denominator; None if the result itself is limited.
        limit: The limit.
        is_floor: Whether it must be at least the limit; at most otherwise.
    """

    text: str
    column: Column
    ours: tuple[str, str]
    theirs: tuple[str, str] | None
    limit: float
    is_floor: bool = False

    def row(self, results: Results) -> tuple[str, str, str, str]:
        """Returns goal, limit, measured value and verdict. The value is the median of all rounds."""
        text = self.column.text if self.theirs is None else ratio_text
        limit = f"{'at least' if self.is_floor else 'at most'} {text(self.limit)}"
        values = self._values(results)
        if not values:
            return self.text, limit, "-", "not measured"
        low, middle, high = quartiles(values)
        is_met = middle >= self.limit if self.is_floor else middle <= self.limit
        return self.text, limit, f"{text(middle)} ({text(low)} - {text(high)})", "met" if is_met else "missed"

    def _values(self, results: Results) -> list[float]:
        value, ours = self.column.value, results[self.ours]
        theirs = ours if self.theirs is None else results[self.theirs]
        if isinstance(ours, str) or isinstance(theirs, str):
            return []
        if self.theirs is None:
            return [value(sample) for sample in ours]
        return [value(mine) / value(other) for mine, other in zip(ours, theirs, strict=True)]


@dataclass(frozen=True, slots=True)
class Suite:
    """Measurements that share a table and a picture.

    Attributes:
        name: Its name on the command line and in the page.
        run: Measures; takes the settings of the run.
        columns: The quantities in the table; the picture shows the first.
        goals: The limits on its results.
        draw: Draws the results into a file; None for the first column as bars.
    """

    name: str
    run: Callable[..., Results]
    columns: Sequence[Column]
    goals: Sequence[Goal] = ()
    draw: Callable[[Results, Path], object] | None = None

    def rows(self, results: Results) -> list[tuple[str, ...]]:
        """Returns one row per case and peer, or the reason why a peer did not start."""
        return [
            (f"{case}: {peer}", f"did not start: {samples}", *("" for _ in self.columns[1:]))
            if isinstance(samples, str)
            else (f"{case}: {peer}", *(column.cell(samples) for column in self.columns))
            for (case, peer), samples in results.items()
        ]

    def without_results(self, reason: str) -> Results:
        """Returns the results of a suite that failed: the reason, for each case of its goals."""
        cases = (case for goal in self.goals for case in filter(None, (goal.ours, goal.theirs)))
        return dict.fromkeys(cases, reason.partition("\n")[0])


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the lower quartile, the median and the upper quartile."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return low, median(values), high


def ratio_text(ratio: float) -> str:
    """Returns a ratio as 1/6 or 4.1."""
    return (f"{ratio:.1f}" if ratio >= 1 else f"1/{1 / ratio:.1f}").removesuffix(".0")


def seconds_text(seconds: float) -> str:
    """Returns a duration with three significant digits and its unit."""
    size, unit = next((pair for pair in ((1.0, "s"), (1e-3, "ms")) if seconds >= pair[0]), (1e-6, "us"))
    return f"{float(f'{seconds / size:.3g}'):g} {unit}"


CPU: Final = Column("CPU time", lambda sample: sample.cpu, seconds_text)
WALL: Final = Column("wall time", lambda sample: sample.wall, seconds_text)
RATE: Final = Column("calls per second", lambda sample: 1 / sample.wall, lambda rate: f"{rate:,.0f}")
MEMORY: Final = Column("peak memory", lambda sample: sample.memory, lambda size: f"{size / 1e6:.1f} MB")
MEDIAN: Final = Column("latency, median", lambda sample: sample.median, seconds_text)
P99: Final = Column("latency, p99", lambda sample: sample.p99, seconds_text)
