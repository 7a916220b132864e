"""The command line: ``python -m benchmarks [--quick] [--only SUITE ...] [--write]``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import machine, page
from .loopback import CHECKOUT
from .report import Report, Settings, Suite, Table, goals_table
from .suites import SUITES


def measure(suites: Sequence[Suite], settings: Settings) -> Report:
    """Runs suites one after the other, and returns what all have measured, with the goals and the machine."""
    before = machine.calibrate()
    tables: list[Table] = []
    pictures: dict[str, str] = {}
    figures: dict[str, Sequence[float]] = {}
    for suite in suites:
        begin = time.monotonic()
        report = suite.run(settings)
        print(f"{suite.name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        tables += report.tables
        pictures |= report.pictures
        figures |= report.figures
    goals = [goal for suite in suites for goal in suite.goals]
    head = [goals_table(goals, figures)] if goals else []
    return Report([*head, machine.table(before, machine.calibrate()), *tables], pictures, figures)


def main(arguments: Sequence[str] | None = None, suites: Sequence[Suite] = SUITES) -> None:
    """Measures, prints the tables, and writes the pictures."""
    parser = _parser(suites)
    options = parser.parse_args(arguments)
    if options.write and (options.only or options.quick):
        parser.error("--write takes neither --only nor --quick: the page tells of one whole run")
    chosen = [suite for suite in suites if not options.only or suite.name in options.only]
    report = measure(chosen, Settings(options.environments.absolute(), options.quick))
    for table in report.tables:
        print(f"\n{table.markdown()}", end="")
    if options.write:
        page.write(report.tables, report.pictures)
    elif report.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        for name, picture in report.pictures.items():
            (options.pictures / f"{name}.svg").write_text(picture, encoding="utf-8")
        print(f"\npictures: {options.pictures}")


def _parser(suites: Sequence[Suite]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measures this package beside its peers.")
    parser.add_argument("--quick", action="store_true", help="measure less, to see whether all works")
    parser.add_argument(
        "--only", nargs="+", metavar="SUITE", choices=[suite.name for suite in suites], help="%(choices)s"
    )
    parser.add_argument("--write", action="store_true", help="put the tables and pictures into docs/performance.md")
    parser.add_argument("--pictures", type=Path, default=CHECKOUT / "build" / "benchmarks", help="where they go else")
    parser.add_argument("--environments", type=Path, default=CHECKOUT / ".venv-benchmarks", help="kept between runs")
    return parser


if __name__ == "__main__":
    main()
