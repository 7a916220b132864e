"""The engine and the reference model return the same results, and the simulation's invariants hold on the engine.

Shards are on two servers. PostgreSQL's text has no U+0000, and a transaction has one partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis.stateful import rule, run_state_machine_as_test

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Page, Query, Scan, StoreOperation, Transact
from open_alchemy.package_database.engines.port import Config, Engine
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import MemoryStore
from tests.simulation.engine_stores import EngineStore
from tests.simulation.test_machine import SpecMachine
from tests.sqlite.test_machine import EngineMachine, place, scans

EXAMPLES = settings(max_examples=max(2, settings().max_examples // 40), stateful_step_count=20)


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    opened = config.open_engine(TABLES)
    opened.prepare()
    yield opened
    opened.close()


def empty(engine: Engine) -> Engine:
    for table in TABLES:
        engine.administration().clear(table)
    return engine


def without_nul(value: Any) -> Any:
    """Returns an operation with another character in the place of U+0000."""
    match value:
        case str():
            return value.replace("\0", "\1")
        case dict():
            return {name: without_nul(part) for name, part in value.items()}
        case tuple() if type(value) is tuple:
            return tuple(map(without_nul, value))
        case tuple():
            return type(value)(*map(without_nul, value))
    return value


class PostgreSQLMachine(EngineMachine):
    """Compares PostgreSQL."""

    def ask(self, operation: StoreOperation) -> None:
        operation = without_nul(operation)
        if isinstance(operation, Transact):
            first, *_ = operation.actions
            one_user = tuple(action for action in operation.actions if place(action)[1] == place(first)[1])
            operation = Transact(one_user, uuid4().hex)
        expected = self.model.execute(operation, Deadline(60))
        found = self.engine.execute(operation, Deadline(60))
        if isinstance(operation, Query) and operation.secondary_index and operation.secondary_index.scope == "global":
            # The index contains the keys only.
            expected = list(map(operation.table.key_of, expected))
            found = list(map(operation.table.key_of, found))
        assert (list(found) if isinstance(operation, Query) else found) == expected

    @rule(scan=scans())
    def scan(self, scan: Scan) -> None:
        """The order of partitions is that of their shards and hashes."""
        scan = without_nul(scan)
        items = chain.from_iterable(page.items for page in self.pages(scan._replace(after=None)))
        everything = self.model.execute(Scan(scan.table, 1_000, None, scan.partition), Deadline(60)).items
        found = {(item[scan.table.partition_key], item[scan.table.sort_key]): item for item in items}
        assert found == {(item[scan.table.partition_key], item[scan.table.sort_key]): item for item in everything}

    def pages(self, scan: Scan) -> Iterator[Page]:
        while True:
            page = self.engine.execute(scan, Deadline(60))
            yield page
            if page.after is None:
                return
            scan = scan._replace(after=page.after)


def test_the_engine_returns_what_the_model_returns(engine: Engine) -> None:
    class Machine(PostgreSQLMachine):
        def __init__(self) -> None:
            super().__init__(empty(engine))

    run_state_machine_as_test(Machine, settings=EXAMPLES)


def test_the_invariants_hold_in_interleavings_with_faults(engine: Engine) -> None:
    class Machine(SpecMachine):
        def store_of(self, start: MemoryStore) -> MemoryStore:
            return EngineStore(empty(engine), start.items)

    run_state_machine_as_test(Machine, settings=EXAMPLES)
