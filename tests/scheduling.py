"""Distributes the tests over the workers of pytest-xdist.

pytest-xdist's own marker of groups has no effect with pytest 9.2, whose items have no attribute ``_nodeid``.
"""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadScopeScheduling

_ONE_WORKER: Final = ("infrastructure", "concurrency", "postgresql", "sqlalchemy", "packaging")
"""Folders whose tests share servers, or what takes long to build. They start first, because they take longest."""
_SLOW: Final = ("plugin", "documentation", "benchmarks", "delivery", "cli", "broker")
"""Folders with slow tests. They start next, so that no worker has much left to do when the others are done."""
_FOLDERS: Final = (*_ONE_WORKER, *_SLOW)


def priority(nodeid: str) -> int:
    """Returns the position of a test's folder in the order in which the tests start."""
    folder = _folder(nodeid)
    return _FOLDERS.index(folder) if folder in _FOLDERS else len(_FOLDERS)


def scope(nodeid: str) -> str:
    """Returns the name of the tests that run in the worker of a test: its folder, server, store or function."""
    folder = _folder(nodeid)
    function, _, parameters = nodeid.partition("[")
    if folder in _ONE_WORKER:
        return folder
    if folder in ("broker", "contract"):
        server = next((server for server in ("postgresql", "amqp") if server in parameters), None)
        store = f"contract[{parameters.rstrip(']').partition('-')[0]}]" if folder == "contract" else function
        return server or store
    return function


def _folder(nodeid: str) -> str:
    return nodeid.split("/", 2)[1] if nodeid.count("/") > 1 else ""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no annotations
    """Sends the tests of a scope to one worker, in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
