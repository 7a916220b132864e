"""Concurrent calls while messages are lost, doubled and late at random: an order of the calls explains every result."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, cast

import pytest

from open_alchemy.package_database import BaseError, NotFoundError, TDatabase
from tests.broker.brokers import memory_store, opened_async, opened_sync
from tests.broker.deliveries import FaultyServer, RandomFaults
from tests.broker.networks import Network, on_each_transport, shorten
from tests.simulation.history import explains
from tests.simulation.scheduler import Plan

CLIENTS, CALLS = 3, 4


@dataclass
class Call:
    """A call: what ``explains`` needs of it.

    Attributes:
        plan: The call.
        after: The numbers of the calls that were over when it began.
        is_done: Whether its result is known.
        answer: Its result or error.
    """

    plan: Plan
    after: frozenset[int]
    is_done: bool = False
    answer: object = None


class History:
    """Concurrent calls on one spec."""

    def __init__(self, sub: str) -> None:
        self.sub = sub
        self.calls: list[Call] = []
        self._over: set[int] = set()
        self._lock = threading.Lock()

    def perform(self, database: TDatabase, plan: Plan) -> None:
        """Makes a call, and records it."""
        with self._lock:
            number, call = len(self.calls), Call(plan, frozenset(self._over))
            self.calls.append(call)
        try:
            call.answer = _KINDS[plan.kind](database, self.sub, plan.version)
            call.is_done = True
        except NotFoundError as error:
            call.answer, call.is_done = error, True
        except BaseError as error:
            call.answer = error
        with self._lock:
            self._over.add(number)


def _publish(database: TDatabase, sub: str, version: str) -> None:
    database.create_update_spec(sub=sub, name="a", version=version, model_count=1)


def _update(database: TDatabase, sub: str, version: str) -> None:
    snapshot = database.get_spec_snapshot(sub=sub, name="a")
    if snapshot is None:
        raise NotFoundError("a")
    arguments = {"revision": snapshot["revision"], "version": snapshot["version"] + version}
    database.update_spec(sub=sub, name="a", model_count=1, **arguments)


_KINDS: dict[str, Callable[[TDatabase, str, str], object]] = {
    "create": _publish,
    "update": _update,
    "delete": lambda database, sub, _: database.delete_spec(sub=sub, name="a"),
    "get": lambda database, sub, _: database.get_spec(sub=sub, name="a"),
    "list": lambda database, sub, _: database.list_spec_versions(sub=sub, name="a"),
}


def run_history(sub: str, databases: list[TDatabase], random: Random) -> History:
    """Has each client make random calls, in threads."""
    history = History(sub)

    def run(client: int, kinds: list[str]) -> None:
        for number, kind in enumerate(kinds):
            history.perform(databases[client], Plan(kind, f"{client}{number}.", sub=sub))

    choices = [random.choices(list(_KINDS), k=CALLS) for _ in databases]
    threads = [threading.Thread(target=run, args=(client, kinds)) for client, kinds in enumerate(choices)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return history


def stored(database: TDatabase, sub: str) -> tuple[str, ...]:
    try:
        return tuple(info["version"] for info in database.list_spec_versions(sub=sub, name="a"))
    except NotFoundError:
        return ()


@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.long)])
@on_each_transport
def test_an_order_of_the_calls_explains_every_result(
    network: Network, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, silence=0.05)
    seed = int(os.environ.get("SEED") or time.time_ns())
    random = Random(seed)  # noqa: S311 (no secret)
    store = memory_store()
    create: Any = partial(FaultyServer, deliveries=RandomFaults(random, 0.125))
    brokers = [network.start_broker(store, create=create) for _ in range(2)]
    config = network.config(*brokers)
    databases = [opened(network.stack, config) for opened in (opened_sync, opened_sync, opened_async)]
    assert len(databases) == CLIENTS
    for number in range(count):
        history = run_history(f"u{number}", databases, random)
        found = stored(databases[0], history.sub)
        assert explains((), cast("Any", history.calls), found), f"seed {seed}: {found} after {history.calls}"
