"""Suspends the measurement of coverage where it costs much time and covers nothing more.

On Python 3.11 the measurement almost doubles the CPU time of a process, also of code that is not measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Final

_REPEATING: Final = frozenset(
    {
        "tests/benchmarks",
        "tests/broker/test_deliveries.py",
        "tests/broker/test_faults.py",
        "tests/broker/test_histories.py",
        "tests/broker/test_kills.py",
        "tests/broker/test_processes.py",
        "tests/coherence/test_delays.py",
        "tests/coherence/test_simulation.py",
        "tests/concurrency",
        "tests/contract",
        "tests/documentation",
        "tests/dynamodb_http/test_decoding.py",
        "tests/dynamodb_http/test_interruption.py",
        "tests/examples",
        "tests/faults",
        "tests/instances/test_isolation.py",
        "tests/instances/test_services.py",
        "tests/simulation",
        "tests/sqlalchemy/test_applications.py",
        "tests/sqlite/test_crash.py",
        "tests/sqlite/test_interruptions.py",
        "tests/sqlite/test_kill.py",
        "tests/sqlite/test_machine.py",
        "tests/unit/test_page_properties.py",
    }
)
"""Modules and folders whose tests repeat, on each store or in each state, what other tests cover."""


def repeats(nodeid: str) -> bool:
    """Returns whether a test executes no branch of the package that other tests do not execute."""
    path = PurePath(nodeid.partition("::")[0])
    return not _REPEATING.isdisjoint(part.as_posix() for part in (path, *path.parents))


@contextmanager
def unmeasured() -> Iterator[None]:
    """Does not measure the coverage of this thread in a block.

    ``Coverage.stop`` and ``start`` would replace ``os._exit`` and add a hook of ``os.fork`` at each start.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)
