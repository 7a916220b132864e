"""The command line: ``python -m benchmarks [--quick | --write] [SUITE ...]``."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from . import machine, page
from .loopback import CHECKOUT
from .results import Results, Suite
from .settings import Settings
from .suites import SUITES

Publish: TypeAlias = Callable[[Mapping[str, str]], None]
"""Takes tables in Markdown by name."""


def measure(suites: Sequence[Suite], settings: Settings, pictures: Path, publish: Publish) -> list[str]:
    """Runs suites one after the other, and publishes the tables and the picture of each when it ends.

    Returns:
        The names of the suites that failed. Their tables contain the reason.
    """
    before, failed = machine.calibrate(), []
    goals: list[tuple[str, ...]] = []
    for suite in suites:
        begin = time.monotonic()
        results, error = _run(suite, settings, pictures)
        print(f"{suite.name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        failed += [suite.name] if error else []
        titles = [f"{column.title} (quartiles)" for column in suite.columns]
        publish({suite.name: page.markdown((suite.name, *titles), suite.rows(results))})
        goals += [goal.row(results) for goal in suite.goals]
    described = machine.rows(before, machine.calibrate())
    publish(
        {
            "goals": page.markdown(("goal", "limit", "measured (quartiles)", "verdict"), goals),
            "machine": page.markdown(("machine", "value"), described),
        }
    )
    return failed


def _run(suite: Suite, settings: Settings, pictures: Path) -> tuple[Results, Exception | None]:
    """Returns the results of a suite and the error that ended it, if any, so that the other suites are measured."""
    results: Results | None = None
    try:
        results = suite.run(settings)
        page.draw(suite, results, pictures)
    except Exception as error:  # noqa: BLE001 (whatever it is, the results of other suites are kept)
        traceback.print_exc()
        return suite.without_results(f"{type(error).__name__}: {error}") if results is None else results, error
    return results, None


def main(arguments: Sequence[str] | None = None, suites: Sequence[Suite] = SUITES) -> None:
    """Measures, prints or writes the tables, and draws the pictures."""
    parser = _parser(suites)
    options = parser.parse_args(arguments)
    if unknown := set(options.suites) - {suite.name for suite in suites}:
        parser.error(f"there is no suite {', '.join(sorted(unknown))}")
    if options.write and (options.suites or options.quick):
        parser.error("--write excludes --quick and a choice of suites: the page describes one complete run")
    chosen = [suite for suite in suites if suite.name in options.suites] or suites
    settings = Settings(options.environments.absolute(), options.quick)
    publish, pictures = _print, options.pictures
    if options.write:
        # Fails now, not after the measurements, if the page lacks a table.
        page.with_tables(page.PAGE.read_text(encoding="utf-8"), {suite.name: "" for suite in suites})
        publish, pictures = page.write, page.PICTURES
    if failed := measure(chosen, settings, pictures, publish):
        parser.exit(1, f"{parser.prog}: not measured: {', '.join(failed)}\n")


def _print(tables: Mapping[str, str]) -> None:
    for table in tables.values():
        print(f"\n{table}", end="", flush=True)


def _parser(suites: Sequence[Suite]) -> argparse.ArgumentParser:
    names = [suite.name for suite in suites]
    parser = argparse.ArgumentParser("python -m benchmarks", description="Compares this package with its peers.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(names)}; default: all")
    parser.add_argument("--quick", action="store_true", help="measure briefly, as a smoke test")
    parser.add_argument("--write", action="store_true", help="update docs/performance.md and its pictures")
    parser.add_argument("--pictures", type=Path, default=CHECKOUT / "build" / "benchmarks", help="default: %(default)s")
    parser.add_argument("--environments", type=Path, default=CHECKOUT / ".venv-benchmarks", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    main()
