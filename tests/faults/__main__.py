"""Writes docs/faults.md: what a caller gets of each fault, and how long it took.

python -m tests.faults
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from open_alchemy.package_database import BaseError, TDatabase
from open_alchemy.package_database.database import Database
from open_alchemy.package_database.engines.dynamodb.administration import DynamoDBAdministration
from open_alchemy.package_database.engines.dynamodb.engine import DynamoDBEngine
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing import local_server
from tests.apis import SYNC_APIS, config_of, open_api
from tests.faults.faults import CALLS, LASTING, PASSING, Backend, Fault, black_hole, faulty, fill, meets, open_at

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
DEADLINE = 5.0

INTRODUCTION = f"""\
# What a fault costs

This page is written by `python -m tests.faults`. Each fault stands between the package and a local DynamoDB, over real
sockets. {len(CALLS)} calls meet it, with the deadline of {DEADLINE:.0f} seconds: a transaction, a put, a read, a query,
a delete of many versions and a batch. The times, in seconds, are those of one run over each wire, on a
machine with 2 cores.

A fault that passes meets the first request of a call, and is not seen: the call's effect is there exactly once. A fault
that lasts is a typed error, and the call's effect is there whole or not at all; a delete may have gone a part of the
way.

| fault | what the caller gets | lean wire: median | most | boto3: median | most |
|---|---|---|---|---|---|
"""


def rows(url: str, direct: Database, empty: Callable[[], None]) -> Iterator[str]:
    """Yields a row of the table for each fault."""
    backend = Backend(url)
    for name, fault in PASSING.items():
        yield _row(f"{name}, once", lambda f=fault: _url(backend, f, 1), name, direct, empty)  # type: ignore[misc]
    for name, (fault, _) in LASTING.items():
        yield _row(name, lambda f=fault: _url(backend, f, None), name, direct, empty)  # type: ignore[misc]
    yield _row("a host that takes no connection", black_hole, "", direct, empty)


@contextmanager
def _url(backend: Backend, fault: Fault, times: int | None) -> Iterator[str]:
    with faulty(backend, fault, times=times) as server:
        yield server.url


def _row(
    title: str,
    run: Callable[[], AbstractContextManager[str]],
    fault: str,
    direct: Database,
    empty: Callable[[], None],
) -> str:
    told: dict[str, None] = {}
    columns = ""
    for face in SYNC_APIS:
        seconds = []
        for name, (perform, _) in CALLS.items():
            if meets(fault, name):
                empty()
                fill(direct)
                with run() as url, open_api(face, config_of(url, deadline=DEADLINE)) as database:
                    result, took = _measure(perform, database)
                told[result] = None
                seconds.append(took)
        columns += f" {statistics.median(seconds):.2f} | {max(seconds):.2f} |"
    return f"| {title} | {', '.join(told)} |{columns}\n"


def _measure(perform: Callable[[TDatabase], object], database: TDatabase) -> tuple[str, float]:
    start = time.monotonic()
    try:
        perform(database)
    except BaseError as error:
        return f"`{type(error).__name__}`", time.monotonic() - start
    return "the right result", time.monotonic() - start


def main() -> None:
    """Measures and writes the page."""
    with local_server.run() as url:
        direct = open_at(url, deadline=DEADLINE)
        administration = DynamoDBAdministration(DynamoDBEngine(config_of(url, deadline=DEADLINE)))

        def empty() -> None:
            for table in TABLES:
                administration.clear(table)

        for table in TABLES:
            administration.create(table)
        PAGE.write_text(INTRODUCTION + "".join(rows(url, direct, empty)), encoding="utf-8")


if __name__ == "__main__":
    main()
