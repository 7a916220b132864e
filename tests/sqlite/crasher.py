"""Runs a program of writes in child processes, and ends each child at its own write to the database's files.

python -m tests.sqlite.crasher FOLDER TEMPLATE MODE, with the shim preloaded and CRASH_FOLDER=FOLDER

Each child works on a copy of the folder TEMPLATE, on the file ``link.db``. Prints the versions that each child wrote
and those that are in its file afterwards, from the child that ends at its first write to the one that reaches the end.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from pathlib import Path

from open_alchemy import package_database
from open_alchemy.package_database import RefusedError
from tests.sqlite.stored import check_file

SUB = "u1"
NAME = "a"
DESCRIPTION = "x" * 12_000
VERSIONS = 2
MAX_WRITES = 1_000


def publish(path: Path, acknowledged: int) -> None:
    """Publishes large versions, reports each that is acknowledged, and closes the file, which writes the checkpoint."""
    with package_database.connect(f"sqlite:///{path}") as database:
        for number in range(VERSIONS):
            version = f"{os.getpid()}.{number}"
            try:
                database.create_update_spec(sub=SUB, name=NAME, version=version, model_count=1, description=DESCRIPTION)
            except RefusedError:
                continue  # The disk is full.
            os.write(acknowledged, f"{version}\n".encode())


def run_child(folder: Path, writes: int, mode: int) -> tuple[bool, list[str]]:
    """Returns whether a child reached its end, and the versions that it published."""
    shim = ctypes.CDLL(None)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        shim.crash_at(ctypes.c_long(writes), mode)
        publish(folder / "link.db", writing)
        os._exit(0 if shim.crash_count() < writes else 9)
    os.close(writing)
    with os.fdopen(reading) as acknowledged:
        versions = acknowledged.read().split()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, versions


def main(folder: Path, template: Path, mode: int) -> None:
    """Runs children until one reaches its end."""
    with package_database.connect(f"sqlite:///{folder / 'imports.db'}") as database:
        database.list_specs(sub=SUB)  # Imports what the children need.
    found = []
    for writes in range(1, MAX_WRITES):
        copy = folder / str(writes)
        shutil.copytree(template, copy, symlinks=True)
        is_end, versions = run_child(copy, writes, mode)
        found.append((versions, sorted(check_file(copy / "link.db", SUB))))
        if is_end:
            break
    print(json.dumps(found))  # noqa: T201 (for the parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
