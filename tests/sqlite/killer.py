"""Forks writers, kills them at random moments, and prints the versions that they acknowledged.

python -m tests.sqlite.killer URL SUB KILLS SEED
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass

from open_alchemy import package_database
from tests.concurrency.writer import NAME

WRITERS = 4
LONGEST_LIFE = 0.12
"""Seconds: some are killed before they have opened the file, some after dozens of writes."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A child, the pipe that it reports its versions through, and when it is killed."""

    pid: int
    pipe: int
    death: float


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


def fork(url: str, sub: str, prefix: str, life: float) -> Writer:
    """Starts a writer."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            write(url, sub, prefix, writing)
        finally:
            os._exit(1)
    os.close(writing)
    return Writer(pid, reading, time.monotonic() + life)


def kill(writer: Writer) -> list[str]:
    """Kills a writer, which must not have ended by itself, and returns its versions."""
    time.sleep(max(0.0, writer.death - time.monotonic()))
    os.kill(writer.pid, signal.SIGKILL)
    _, status = os.waitpid(writer.pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    with os.fdopen(writer.pipe) as acknowledged:
        return acknowledged.read().splitlines()


def main(url: str, sub: str, kills: int, seed: int) -> None:
    """Kills, so that some writers are at work at any moment, and in the end all."""
    draw = random.Random(seed)  # noqa: S311 (a test)
    # Loaded once, for all writers; what the parent has opened is none of theirs.
    with package_database.connect(url) as database:
        database.create_update_spec(sub=sub, name=NAME, version=f"{seed}", model_count=0)
    acknowledged = [f"{seed}"]
    writers: list[Writer] = []
    for number in range(kills):
        writers.append(fork(url, sub, f"{seed}.{number}", draw.uniform(0, LONGEST_LIFE)))
        if len(writers) == WRITERS:
            acknowledged += kill(writers.pop(draw.randrange(WRITERS)))
    for writer in writers:
        acknowledged += kill(writer)
    print(json.dumps(acknowledged))  # noqa: T201 (for the parent)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
