"""A process of writers: threads that start together when a line comes in, and print their errors.

python -m tests.concurrency.writer URL SUB FIRST WRITERS VERSIONS DELETES
"""

from __future__ import annotations

import json
import sys
import threading

from open_alchemy import package_database
from open_alchemy.package_database import BaseError, TDatabase

NAME = "a"


def write(database: TDatabase, sub: str, writer: int, versions: int, deletes: int, errors: list[str]) -> None:
    """Publishes versions, deleting the spec at regular intervals."""
    for number in range(versions):
        try:
            database.create_update_spec(sub=sub, name=NAME, version=f"{writer}.{number}", model_count=writer)
            if deletes and number % (versions // deletes) == 0:
                database.delete_spec(sub=sub, name=NAME)
        except BaseError as error:
            errors.append(repr(error))


def main(url: str, sub: str, first: int, writers: int, versions: int, deletes: int) -> None:
    """Runs the writers and prints the errors."""
    database = package_database.connect(url)
    # Imports the driver.
    database.list_specs(sub=sub)
    errors: list[str] = []
    threads = [
        threading.Thread(target=write, args=(database, sub, first + number, versions, deletes, errors))
        for number in range(writers)
    ]
    print("ready", flush=True)  # noqa: T201 (for the parent)
    sys.stdin.readline()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(errors), flush=True)  # noqa: T201 (for the parent)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
