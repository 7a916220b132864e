"""How the cost of a call grows with what is stored: time, requests and capacity units."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

from ..loopback import running
from ..pictures import draw_lines
from ..report import Report, Settings, Suite, Table, seconds_text
from ..spread import Spread, exponent
from ..workers import Peer, Sample, Worker, working

PEER = Peer("this package", "package_growth")
_MANY = 1000


@dataclass(frozen=True, slots=True)
class Growth:
    """A case that is measured at several sizes.

    Attributes:
        case: Its name in ``peers.package_growth``.
        unit: What a size counts.
        sizes: The sizes.
        consumes: Whether a call changes what the next finds, so that each has a store of its own.
    """

    case: str
    unit: str
    sizes: Sequence[int]
    consumes: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """What one call costs at a size: seconds, requests and capacity units."""

    cpu: float
    wall: float
    requests: float
    read_units: float
    write_units: float


GROWTHS = (
    Growth("list_specs", "specs", (10, 100, 1_000, 10_000, 100_000)),
    Growth("count_customer_models", "specs", (10, 100, 1_000, 10_000, 100_000)),
    Growth("create_update_spec", "versions", (1, 10, 100, 1_000, 10_000), consumes=True),
    Growth("delete_spec", "versions", (1, 10, 100, 1_000, 10_000), consumes=True),
)


def _run(settings: Settings) -> Report:
    with ExitStack() as stack:
        url = stack.enter_context(running("benchmarks.store"))
        worker = stack.enter_context(working(PEER, settings.python(PEER), url))
        points = {
            growth.case: {size: _measure(worker, url, growth, size, settings) for size in _sizes(growth, settings)}
            for growth in GROWTHS
        }
    rows = [row for growth in GROWTHS for row in _rows(growth, points[growth.case])]
    header = ("call", "stored", "CPU time", "on the clock", "requests", "read units", "write units")
    picture = draw_lines(
        "CPU time of one call, by what is stored",
        ("specs, or versions of the spec", "CPU time"),
        {case: {size: point.cpu for size, point in line.items()} for case, line in points.items()},
        seconds_text,
    )
    return Report((Table("growth", header, rows), _exponents(points)), {"growth": picture})


def _sizes(growth: Growth, settings: Settings) -> Sequence[int]:
    return growth.sizes[:3] if settings.is_quick else growth.sizes


def _measure(worker: Worker, url: str, growth: Growth, size: int, settings: Settings) -> Point:
    """Returns the medians of a few calls, each of which comes after a warm one."""
    stored = (size, 0) if growth.unit == "specs" else (1, size)
    repeats = 3 if settings.is_quick or size > _MANY else 15
    calls = 1 if growth.consumes else max(1, _MANY // size)
    samples: list[Sample] = []
    tally: Mapping[str, float] = {}
    for number in range(repeats + 1):
        if number == 0 or growth.consumes:
            load(url, *stored)
        before = _post(url, "Tally", {})
        samples.append(worker.run(growth.case, calls))
        tally = {name: (count - before[name]) / calls for name, count in _post(url, "Tally", {}).items()}
    warm = samples[1:]
    return Point(
        Spread.of([sample.cpu for sample in warm]).median, Spread.of([sample.wall for sample in warm]).median, **tally
    )


def load(url: str, specs: int, versions: int) -> None:
    """Has the store at a URL start anew with so many specs, and so many versions of the first."""
    _post(url, "Load", {"specs": specs, "versions": versions})


def _post(url: str, action: str, content: Mapping[str, int]) -> dict[str, float]:
    request = Request(url, json.dumps(content).encode(), {"X-Amz-Target": f"Benchmark.{action}"})  # noqa: S310 (loopback)
    with urlopen(request) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    return answer


def _rows(growth: Growth, points: Mapping[int, Point]) -> list[tuple[str, ...]]:
    return [
        (
            growth.case,
            f"{size:,} {growth.unit}",
            seconds_text(point.cpu),
            seconds_text(point.wall),
            f"{point.requests:,.0f}",
            f"{point.read_units:,.0f}",
            f"{point.write_units:,.0f}",
        )
        for size, point in points.items()
    ]


def _exponents(points: Mapping[str, Mapping[int, Point]]) -> Table:
    """Returns with which power of the size each cost grows."""
    rows = [
        (
            case,
            *(
                _exponent_text(list(line), [getattr(point, cost) for point in line.values()])
                for cost in ("cpu", "wall", "requests", "read_units", "write_units")
            ),
        )
        for case, line in points.items()
    ]
    return Table("exponents", ("call", "CPU time", "on the clock", "requests", "read units", "write units"), rows)


def _exponent_text(sizes: Sequence[int], costs: Sequence[float]) -> str:
    return f"{exponent(sizes, costs):.2f}" if all(costs) else "-"


SUITE = Suite("growth", _run)
