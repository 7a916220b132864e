"""Forks writers, kills them while they write, and prints the versions that they acknowledged.

A random writer is killed when any of them has acknowledged a version: so each is killed at another point of its work,
some before they have opened the file, some after dozens of writes.

python -m tests.sqlite.killer URL SUB KILLS SEED
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys

from open_alchemy import package_database
from tests.concurrency.writer import NAME

WRITERS = 4
MOST_VERSIONS = 12
"""The most versions that are acknowledged between two kills."""


def write(url: str, sub: str, prefix: str, pipe: int) -> None:
    """Publishes versions of one spec with all other writers and reports each; writes and deletes another spec."""
    database = package_database.connect(url)
    for number in range(1_000):
        version = f"{prefix}.{number}"
        database.create_update_spec(sub=sub, name=NAME, version=version, model_count=number)
        os.write(pipe, f"{version}\n".encode())
        database.create_update_spec(sub=sub, name=f"of {prefix}", version=version, model_count=number)
        if number % 4 == 0:
            database.delete_spec(sub=sub, name=f"of {prefix}")


def fork(url: str, sub: str, prefix: str, pipe: int) -> int:
    """Starts a writer, and returns the id of its process."""
    pid = os.fork()
    if pid == 0:
        try:
            write(url, sub, prefix, pipe)
        finally:
            os._exit(1)
    return pid


def kill(pid: int) -> None:
    """Kills a writer, which must not have ended by itself."""
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def main(url: str, sub: str, kills: int, seed: int) -> None:
    """Kills, so that some writers are at work at any moment, and in the end all."""
    draw = random.Random(seed)  # noqa: S311 (a test)
    # Loaded once, for all writers; what the parent has opened is none of theirs.
    with package_database.connect(url) as database:
        database.create_update_spec(sub=sub, name=NAME, version=f"{seed}", model_count=0)
    # A pipe for all writers: a line is written as a whole.
    reading, writing = os.pipe()
    acknowledged = [f"{seed}"]
    writers: list[int] = []
    with os.fdopen(reading) as lines:
        for number in range(kills):
            writers.append(fork(url, sub, f"{seed}.{number}", writing))
            if len(writers) == WRITERS:
                acknowledged += [lines.readline().rstrip() for _ in range(draw.randint(0, MOST_VERSIONS))]
                kill(writers.pop(draw.randrange(WRITERS)))
        for writer in writers:
            kill(writer)
        os.close(writing)
        acknowledged += lines.read().splitlines()
    print(json.dumps(acknowledged))  # noqa: T201 (for the parent)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
