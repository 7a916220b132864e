"""A cold start: from the start of the interpreter to the first answer, in a new process each time."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from random import Random

from ..loopback import running
from ..pictures import Bars, draw_bars
from ..report import Goal, Report, Settings, Suite, Table, seconds_text, spread_text
from ..spread import Spread
from ..workers import (
    BARE,
    BOTO3,
    PACKAGE,
    PACKAGE_ASYNC,
    PACKAGE_BOTO3,
    SCRIPTS,
    VERSION_4,
    Peer,
    conversation,
    variables_of,
)

PEERS = (PACKAGE, PACKAGE_ASYNC, PACKAGE_BOTO3, BOTO3, VERSION_4, BARE)
_COLUMNS = ("wall", "cpu", "memory")
_SHOWN_IMPORTS = 12


def _run(settings: Settings) -> Report:
    rounds = 2 if settings.is_quick else 21
    with running("benchmarks.canned") as url:
        # Files are read once, so that no peer pays for the disk.
        for peer in PEERS:
            subprocess.run(_command(settings, peer, url), check=True, env=variables_of(peer, url), capture_output=True)
        measured = _launch_in_turns(settings, url, rounds)
        imports = _imports_of_package(settings, url)
    figures = {f"cold/{peer.name}/{column}": measured[peer.name, column] for peer in PEERS for column in _COLUMNS}
    rows = [
        (
            peer.name,
            spread_text(figures[f"cold/{peer.name}/wall"]),
            spread_text(figures[f"cold/{peer.name}/cpu"]),
            spread_text(figures[f"cold/{peer.name}/memory"], _memory_text),
        )
        for peer in PEERS
    ]
    header = ("one get_spec in a new process", "to the answer (quartiles)", "CPU time (quartiles)", "peak memory")
    return Report((Table("cold", header, rows), _imports_table(imports)), {"cold": _picture(measured)}, figures)


def _launch_in_turns(settings: Settings, url: str, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Returns, by peer and column, what each launch took."""
    measured: dict[tuple[str, str], list[float]] = defaultdict(list)
    random, order = Random(0), list(PEERS)  # noqa: S311 (an order, not a secret)
    for _ in range(rounds):
        random.shuffle(order)
        for peer in order:
            # A launcher for each, because its children have its environment variables.
            launcher = (sys.executable, "-I", "-S", SCRIPTS / "launcher.py")
            with conversation(launcher, variables_of(peer, url)) as lines:
                spent: dict[str, float] = lines.ask(_command(settings, peer, url))
            for column in _COLUMNS:
                measured[peer.name, column].append(spent[column])
    return measured


def _command(settings: Settings, peer: Peer, url: str, *options: str) -> list[str]:
    return [str(settings.python(peer)), *options, str(SCRIPTS / "first_call.py"), peer.module, url]


def _picture(measured: dict[tuple[str, str], list[float]]) -> str:
    medians = {place: Spread.of(values).median for place, values in measured.items()}
    return draw_bars(
        "Cold start",
        [
            Bars(
                "From the start of the interpreter to the first answer",
                {peer.name: medians[peer.name, "wall"] for peer in PEERS},
                seconds_text,
            ),
            Bars("Memory at the peak", {peer.name: medians[peer.name, "memory"] for peer in PEERS}, _memory_text),
        ],
    )


def _imports_of_package(settings: Settings, url: str) -> dict[str, int]:
    """Returns what the imports of one start of this package take, in microseconds, by module."""
    command = _command(settings, PACKAGE, url, "-X", "importtime")
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables_of(PACKAGE, url))
    return read_imports(done.stderr)


def read_imports(output: str) -> dict[str, int]:
    """Returns the modules that ``-X importtime`` names, with the microseconds that each took itself."""
    lines = (line.removeprefix("import time:").split("|") for line in output.splitlines() if "|" in line)
    return {name.strip(): int(own) for own, _, name in lines if own.strip().isdigit()}


def group_imports(imports: dict[str, int]) -> dict[str, int]:
    """Returns the microseconds of each package with all that is in it; the interpreter's own start is one."""
    groups: dict[str, int] = defaultdict(int)
    modules = list(imports)
    start = modules.index("site") + 1 if "site" in modules else 0
    for place, (name, own) in enumerate(imports.items()):
        groups["the interpreter's start" if place < start else _group_of(name)] += own
    return dict(groups)


def _group_of(name: str) -> str:
    return "open_alchemy.package_database" if name.startswith("open_alchemy.") else name.partition(".")[0]


def _imports_table(imports: dict[str, int]) -> Table:
    groups = sorted(group_imports(imports).items(), key=lambda entry: -entry[1])
    total = sum(imports.values())
    rows = [(name, seconds_text(own / 1e6), f"{own / total:.0%}") for name, own in groups[:_SHOWN_IMPORTS]]
    rest = sum(own for _, own in groups[_SHOWN_IMPORTS:])
    rows += [
        (f"{len(groups[_SHOWN_IMPORTS:])} others", seconds_text(rest / 1e6), f"{rest / total:.0%}"),
        (f"{len(imports)} modules in all", seconds_text(total / 1e6), "100%"),
    ]
    return Table("imports", ("import", "time", "share"), rows)


def _memory_text(size: float) -> str:
    return f"{size / 1e6:.1f} MB"


SUITE = Suite(
    "cold",
    _run,
    (
        Goal("cold start, beside version 4.0.1's", "cold/this package/wall", "cold/version 4.0.1/wall", 1 / 4),
        Goal("peak memory, beside version 4.0.1's", "cold/this package/memory", "cold/version 4.0.1/memory", 1 / 2),
    ),
)
