"""Writes docs/faults.md: the result of each fault, and how long a call waits, in virtual time.

python -m tests.faults
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from open_alchemy.package_database import BaseError, TDatabase
from tests.apis import SYNC_APIS
from tests.faults import broker, postgresql
from tests.faults.backend import Backend
from tests.faults.calls import CALLS, WRITES
from tests.faults.faults import LATE, PERMANENT, TRANSIENT, Fault, Network
from tests.faults.virtual_time import Clock, open_virtual

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
DEADLINE = 5.0
JITTER = 0.5

INTRODUCTION = f"""\
# Faults

## DynamoDB

`python -m tests.faults` writes this page, and a `long` test compares it. Each fault is applied to {len(CALLS)}
functions on a local DynamoDB, with a deadline of {DEADLINE:.0f} seconds. The columns show how many seconds a call of
one of these functions waits at most with each HTTP client: its timeouts, and the delays between its attempts with a
jitter of {JITTER}. They are computed in virtual time, so they do not include the latency of the network.

A transient fault ("once") affects the first request of a call. The caller does not notice it: the call takes effect
exactly once. A permanent fault affects every request. The caller gets an error of the given class, and the call
takes effect as a whole or not at all; a call that deletes an unbounded number of items may delete a part of them.
A late delivery affects the first write of a call: the request arrives again after the call and after a later write of
the same items, which it must not undo.

Further tables have the faults of a [PostgreSQL](#postgresql) server, such as a wrong password or certificate, and of
[brokers](#brokers).

`tests/faults/test_virtual_time.py` checks the faults with each API, sync and async, also for faults of the first
write of a call, and `tests/faults/test_sockets.py` over real sockets: by default a selection with every
pair of fault, function and API, with `scripts/test --long` every combination.

| fault | result | package's HTTP client | boto3 |
|---|---|---|---|
"""
SERVERS = postgresql.section() + broker.section()


def page() -> str:
    """Returns the page."""
    backend = Backend()
    rows = [_row(backend, f"{name}, once", fault, times=1) for name, fault in TRANSIENT.items()]
    rows += [_row(backend, f"{name}, permanently", fault, times=None) for name, (fault, _) in PERMANENT.items()]
    rows += [_late_row(backend, title, fault) for title, fault in LATE.items()]
    return INTRODUCTION + "".join(rows) + SERVERS


def _row(backend: Backend, title: str, fault: Fault, *, times: int | None) -> str:
    results: dict[str, None] = {}
    columns = ""
    for api in SYNC_APIS:
        seconds = []
        for call in CALLS:
            backend.restore()
            result, waited = _measure(api, Network(backend, fault, times=times), CALLS[call].perform)
            results[result] = None
            seconds.append(waited)
        columns += f" {max(seconds):.2f} |"
    return f"| {title} | {', '.join(results)} |{columns}\n"


def _late_row(backend: Backend, title: str, fault: Fault) -> str:
    results: dict[str, None] = {}
    columns = ""
    for api in SYNC_APIS:
        seconds = []
        for call in WRITES:
            backend.restore()
            network = Network(backend, fault, writes_only=True)
            _, waited = _measure(api, network, CALLS[call].perform_with_later)
            expected = backend.items()
            network.deliver_late()
            results["no effect of the delivery" if backend.items() == expected else "an effect"] = None
            seconds.append(waited)
        columns += f" {max(seconds):.2f} |"
    return f"| {title} | {', '.join(results)} |{columns}\n"


def _measure(api: str, network: Network, perform: Callable[[TDatabase], object]) -> tuple[str, float]:
    clock = Clock()
    with open_virtual(api, network, clock, deadline=DEADLINE, jitter=JITTER) as database:
        try:
            perform(database)
        except BaseError as error:
            return f"`{type(error).__name__}`", clock.now
        return "the correct result", clock.now


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
