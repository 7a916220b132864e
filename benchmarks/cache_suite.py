"""The suites ``cache`` and ``hits``: clients of a broker that cache, and how many of their reads are hits and stale."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from .environments import PACKAGE_CACHE, PeerError, last_line
from .results import CPU, MEMORY, WALL, Column, Goal, Results, Sample, Suite
from .settings import Settings
from .workers import SCRIPTS, Peer, variables_of

_PEER: Final = Peer("this package", "cache_calls", PACKAGE_CACHE)
_CASES: Final = {
    "hit": ("get_spec, cached", _PEER.name),
    "request": ("get_spec through the broker", _PEER.name),
    "list": ("list_specs of 1,000 specs, cached", _PEER.name),
    "build": ("building 1,000 dictionaries", _PEER.name),
    "memory": ("100,000 cached results of get_spec", _PEER.name),
    "write": ("create_update_spec, CPU time of the broker", _PEER.name),
    "revoking": ("create_update_spec that 100 clients have cached, CPU time of the broker", _PEER.name),
    "revocations": ("1,000 revocations, CPU time of the broker", _PEER.name),
}
_READS: Final = "get_spec, 1 % writes"
_INTERVAL: Final = 0.5
_CACHE: Final = "cache of this package"
_MODES: Final = {_CACHE: ("?cache=1000", 0.0), "no cache": ("", 0.0), "TTL of 1 s": ("", 1.0)}
"""The parameters of the URL, and how many seconds a client uses a result without asking again."""


def _measure_calls(settings: Settings) -> Results:
    if sys.platform != "linux":
        return dict.fromkeys(_CASES.values(), "it reads /proc and the clocks of another process")
    rounds, entries = (2, 1_000) if settings.is_quick else (25, 100_000)
    python = settings.python(PACKAGE_CACHE)
    with _running_broker(python) as (url, process):
        measured = _output(python, "cache_calls.py", url, process, rounds, entries)
    return {_CASES[name]: [Sample(*each) for each in samples] for name, samples in measured.items()}


@contextmanager
def _running_broker(python: Path) -> Iterator[tuple[str, int]]:
    """Runs a broker on an empty store, and yields its URL and its process id."""
    with TemporaryDirectory() as folder:
        options = ("--url", f"sqlite:///{folder}/store.db", "--listen", "tcp://127.0.0.1:*")
        command = (python, "-m", "open_alchemy.package_database.cli", "broker", *options)
        with subprocess.Popen(command, env=_variables(), stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                words = process.stdout.readline().split()
                if not words:
                    raise PeerError("the broker did not start")
                yield words[-1].replace("tcp://", "broker://"), process.pid
            finally:
                process.terminate()


def _output(python: Path, script: str, *arguments: object) -> Any:
    """Runs a script of ``peers``, and returns the JSON that it prints."""
    command: list[str | Path] = [python, SCRIPTS / script, *map(str, arguments)]
    done = subprocess.run(command, env=_variables(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError(last_line(done.stderr))
    return json.loads(done.stdout)


def _variables() -> dict[str, str]:
    return variables_of(_PEER, "http://127.0.0.1:1")


@dataclass(frozen=True, slots=True)
class Interval(Sample):
    """The reads of all clients within half a second: how many there were, without a request, and stale."""

    reads: int = 0
    hits: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class _Count(Column):
    """A number of reads; the table contains the sum of all intervals."""

    def cell(self, samples: Sequence[Sample]) -> str:
        return f"{sum(map(self.value, samples)):,.0f} of {sum(each.reads for each in _intervals(samples)):,}"


def _measure_hits(settings: Settings) -> Results:
    clients, seconds = (5, 3.0) if settings.is_quick else (50, 8.0)
    python = settings.python(PACKAGE_CACHE)
    results: dict[tuple[str, str], list[Sample]] = {}
    for mode, (parameters, ttl) in _MODES.items():
        with _running_broker(python) as (url, _):
            intervals = _output(python, "cache_hits.py", url + parameters, ttl, clients, seconds)
        results[_READS, mode] = [Interval(0.0, 0.0, reads=r, hits=h, stale=s) for r, h, s in intervals]
    return results


def _intervals(samples: Sequence[Sample] | str) -> list[Interval]:
    return [sample for sample in samples if isinstance(sample, Interval)]


def _draw_hits(results: Results, path: Path) -> None:
    """Draws the share of the reads without a request over time."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "hits", "font.size": 9})
    figure = Figure((8, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for (_, mode), samples in results.items():
        intervals = _intervals(samples)
        times = [number * _INTERVAL for number in range(len(intervals))]
        percent = [100 * each.hits / max(1, each.reads) for each in intervals]
        axes.plot(times, percent, label=f"{mode}: {_STALE.cell(intervals)} reads are stale")
    axes.set_xlabel("seconds since the start of the broker and the clients")
    axes.set_ylabel("reads without a request, %")
    axes.set_ylim(-3, 100)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


_HITS: Final = _Count("reads without a request", lambda sample: getattr(sample, "hits", 0), "{:.0f}".format)
_STALE: Final = _Count("stale reads", lambda sample: getattr(sample, "stale", 0), "{:.0f}".format)

CALLS: Final = Suite(
    "cache",
    _measure_calls,
    (CPU, WALL, MEMORY),
    (
        Goal("CPU of a cached get_spec", CPU, _CASES["hit"], None, 12e-6),
        Goal("time of a cached get_spec / one through the broker", WALL, _CASES["hit"], _CASES["request"], 1 / 10),
        Goal("CPU of a cached list of 1,000 / building it", CPU, _CASES["list"], _CASES["build"], 1 / 2),
        Goal("memory of 100,000 cached results of get_spec", MEMORY, _CASES["memory"], None, 100e6),
        Goal("time of a write, 100 clients with a cache / none", WALL, _CASES["revoking"], _CASES["write"], 3.0),
        Goal("CPU of the broker for the same", CPU, _CASES["revoking"], _CASES["write"], 3.0),
        Goal("CPU of the broker for 1,000 revocations", CPU, _CASES["revocations"], None, 1.0),
    ),
)
HITS: Final = Suite(
    "hits",
    _measure_hits,
    (_HITS, _STALE),
    (Goal("stale reads of clients with the cache", _STALE, (_READS, _CACHE), None, 0.0),),
    _draw_hits,
)
