"""The command line: ``python -m benchmarks [--quick] [--only SUITE ...] [--write]``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import machine, page
from .environments import PeerError
from .loopback import CHECKOUT
from .results import Suite
from .settings import Settings
from .suites import SUITES


def measure(suites: Sequence[Suite], settings: Settings, pictures: Path) -> dict[str, str]:
    """Runs suites one after the other, draws their pictures, and returns their tables in Markdown by name."""
    before = machine.calibrate()
    tables: dict[str, str] = {}
    goals: list[tuple[str, ...]] = []
    for suite in suites:
        begin = time.monotonic()
        results = suite.run(settings)
        print(f"{suite.name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        titles = [f"{column.title} (quartiles)" for column in suite.columns]
        tables[suite.name] = page.markdown((suite.name, *titles), suite.rows(results))
        goals += [goal.row(results) for goal in suite.goals]
        page.draw(suite, results, pictures)
    tables["goals"] = page.markdown(("goal", "limit", "measured (quartiles)", "verdict"), goals)
    tables["machine"] = page.markdown(("machine", "value"), machine.rows(before, machine.calibrate()))
    return tables


def main(arguments: Sequence[str] | None = None, suites: Sequence[Suite] = SUITES) -> None:
    """Measures, prints the tables and draws the pictures."""
    parser = _parser(suites)
    options = parser.parse_args(arguments)
    if options.write and (options.only or options.quick):
        parser.error("--write excludes --only and --quick: the page describes one complete run")
    chosen = [suite for suite in suites if not options.only or suite.name in options.only]
    try:
        settings = Settings(options.environments.absolute(), options.quick)
        tables = measure(chosen, settings, page.PICTURES if options.write else options.pictures)
    except PeerError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    for table in tables.values():
        print(f"\n{table}", end="")
    if options.write:
        page.PAGE.write_text(page.with_tables(page.PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")


def _parser(suites: Sequence[Suite]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Compares this package with its peers.")
    parser.add_argument("--quick", action="store_true", help="measure briefly, as a smoke test")
    parser.add_argument(
        "--only", nargs="+", metavar="SUITE", choices=[suite.name for suite in suites], help="%(choices)s"
    )
    parser.add_argument("--write", action="store_true", help="update docs/performance.md and its pictures")
    parser.add_argument("--pictures", type=Path, default=CHECKOUT / "build" / "benchmarks", help="default: %(default)s")
    parser.add_argument("--environments", type=Path, default=CHECKOUT / ".venv-benchmarks", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    main()
