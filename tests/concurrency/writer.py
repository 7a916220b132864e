"""A process of writers: threads that start together when a line comes in, and print what they could not do.

python -m tests.concurrency.writer URL SUB FIRST WRITERS VERSIONS DELETES
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field

from open_alchemy import package_database
from open_alchemy.package_database import BaseError, TDatabase

NAME = "a"


@dataclass
class Report:
    """What a process of writers tells."""

    errors: list[str] = field(default_factory=list)
    longest: float = 0.0


def write(database: TDatabase, sub: str, writer: int, versions: int, deletes: int, report: Report) -> None:
    """Publishes versions, deleting the spec at even distances."""
    for number in range(versions):
        start = time.monotonic()
        try:
            database.create_update_spec(sub=sub, name=NAME, version=f"{writer}.{number}", model_count=writer)
            if deletes and number % (versions // deletes) == 0:
                database.delete_spec(sub=sub, name=NAME)
        except BaseError as error:
            report.errors.append(repr(error))
        report.longest = max(report.longest, time.monotonic() - start)


def main(url: str, sub: str, first: int, writers: int, versions: int, deletes: int) -> None:
    """Runs the writers and prints the report."""
    database = package_database.connect(url)
    # Loads the driver.
    database.list_specs(sub=sub)
    report = Report()
    threads = [
        threading.Thread(target=write, args=(database, sub, first + number, versions, deletes, report))
        for number in range(writers)
    ]
    print("ready", flush=True)  # noqa: T201 (for the parent)
    sys.stdin.readline()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps([report.errors, report.longest]), flush=True)  # noqa: T201 (for the parent)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
