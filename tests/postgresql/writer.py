"""A process of writers, which publish versions until its input ends, and then print what they did.

python -m tests.postgresql.writer URL FIRST WRITERS USERS
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from open_alchemy import package_database
from open_alchemy.package_database import BaseError, TDatabase


def write(database: TDatabase, writer: int, sub: str, is_over: threading.Event) -> dict[str, Any]:
    """Publishes versions; returns the acknowledged ones, the errors and the longest call in seconds."""
    acknowledged: list[str] = []
    errors: list[str] = []
    longest = 0.0
    while not is_over.is_set():
        version = f"{writer}.{len(acknowledged) + len(errors)}"
        begin = time.monotonic()
        try:
            database.create_update_spec(sub=sub, name="a", version=version, model_count=1)
            acknowledged.append(version)
        except BaseError as error:
            errors.append(repr(error))
        longest = max(longest, time.monotonic() - begin)
    return {"sub": sub, "acknowledged": acknowledged, "errors": errors, "longest": longest}


def main(url: str, first: int, writers: int, users: list[str]) -> None:
    """Runs the writers."""
    is_over = threading.Event()
    with package_database.connect(url) as database, ThreadPoolExecutor(writers) as threads:
        database.list_specs(sub=users[0])
        numbers = range(first, first + writers)
        running = [threads.submit(write, database, n, users[n % len(users)], is_over) for n in numbers]
        print("ready", flush=True)  # noqa: T201 (for the parent)
        sys.stdin.read()
        is_over.set()
        print(json.dumps([one.result() for one in running]))  # noqa: T201 (for the parent)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
