"""What a suite of measurements hands on: tables, pictures, and the figures that goals are set on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .environments import python_of
from .spread import Spread, ratios
from .workers import Peer

Figures = Mapping[str, Sequence[float]]
"""Measurements by name, one a round; those of one round have one place."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: Where it stands in the page.
        header: The names of the columns; those from the second on hold numbers, and stand to the right.
        rows: The cells.
    """

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Returns it in Markdown, in columns that are read as they are too."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        return "\n".join(_line(cells, widths) for cells in (self.header, rule, *self.rows)) + "\n"


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio of two figures that must not be more, or less, than a limit.

    Attributes:
        text: What is promised.
        upper: The figure above the line.
        lower: The figure below the line.
        limit: The limit.
        is_floor: Whether the ratio must be at least the limit; else at most.
    """

    text: str
    upper: str
    lower: str
    limit: float
    is_floor: bool = False

    def row(self, figures: Figures) -> tuple[str, str, str, str] | None:
        """Returns the goal, its limit, the ratio and the verdict; None where it was not measured."""
        if self.upper not in figures or self.lower not in figures:
            return None
        spread = Spread.of(ratios(figures[self.upper], figures[self.lower]))
        limit = f"{'at least' if self.is_floor else 'at most'} {ratio_text(self.limit)}"
        measured = f"{ratio_text(spread.median)} ({ratio_text(spread.low)} to {ratio_text(spread.high)})"
        return self.text, limit, measured, self.verdict(spread.median)

    def verdict(self, ratio: float) -> str:
        """Returns whether the goal is met, and by how much of the limit."""
        slack = (ratio / self.limit - 1) * (1 if self.is_floor else -1)
        return f"met, {abs(slack):.0%} to spare" if slack >= 0 else f"missed by {-slack:.0%}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a suite has measured. ``pictures`` are SVG documents by name."""

    tables: Sequence[Table] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is to be.

    Attributes:
        environments: The folder of the virtual environments.
        is_quick: Whether to measure less, to see whether all works.
    """

    environments: Path
    is_quick: bool = False

    def python(self, peer: Peer) -> Path:
        """Returns the interpreter of a peer's environment."""
        return python_of(peer.environment, self.environments)


@dataclass(frozen=True, slots=True)
class Suite:
    """Measurements that belong together.

    Attributes:
        name: By which it is asked for.
        run: Makes the measurements.
        goals: What is promised of its figures.
    """

    name: str
    run: Callable[[Settings], Report]
    goals: Sequence[Goal] = ()


def goals_table(goals: Sequence[Goal], figures: Figures) -> Table:
    """Returns the verdicts on all goals that were measured."""
    rows = [row for goal in goals if (row := goal.row(figures)) is not None]
    return Table("goals", ("goal", "limit", "measured (quartiles)", "verdict"), rows)


def ratio_text(ratio: float) -> str:
    """Returns a ratio as people say it: 1/6.0 or 4.1."""
    text = f"{ratio:.1f}" if ratio >= 1 else f"1/{1 / ratio:.1f}"
    return text.removesuffix(".0")


def seconds_text(seconds: float) -> str:
    """Returns a time with three digits that count, and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < size * 1000 else f"{seconds / size:.0f} {unit}"
    micro = seconds * 1e6
    return f"{micro:.0f} us" if micro >= 100 else f"{micro:.3g} us"  # noqa: PLR2004 (three digits)


def spread_text(values: Sequence[float], text: Callable[[float], str] = seconds_text) -> str:
    """Returns the median with the quartiles behind it."""
    spread = Spread.of(values)
    return f"{text(spread.median)} ({text(spread.low)} - {text(spread.high)})"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {' | '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])} |"
