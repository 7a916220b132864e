"""The operations of an import, one by one."""

from __future__ import annotations

from typing import Any

from open_alchemy.package_database.admin.import_items import Outcome, import_items
from open_alchemy.package_database.core.operations import (
    MAX_TRANSACT_ACTIONS,
    MAX_TRANSACT_BYTES,
    AnyOf,
    Backoff,
    Below,
    Equal,
    Item,
    Missing,
    Put,
    Stamp,
    Stamped,
    Transact,
)
from open_alchemy.package_database.database import run
from open_alchemy.package_database.model.export_checks import Entry
from open_alchemy.package_database.model.keys import LATEST, padded, record_keys
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.model.validation import item_size
from open_alchemy.package_database.testing.memory import MemoryEngine, MemoryStore
from tests.simulation.invariants import check_specs
from tests.simulation.scheduler import SECOND, Plan, execute


def version(seconds: int, id_: str = "a", **attributes: Any) -> Item:
    common = {"sub": "u1", "id": id_, "name": id_, "version": "imported", "model_count": 1, "updated_at": str(seconds)}
    return {**common, "revision": "r", **attributes, **record_keys(padded(seconds), id_)}


def latest(seconds: int, id_: str = "a", **attributes: Any) -> Item:
    return {**version(seconds, id_, **attributes), **record_keys(LATEST, id_)}


def entries(*items: Item) -> list[Entry]:
    return [Entry(SPECS, item) for item in items]


class Observed(MemoryEngine):
    """Records the transactions that it executes."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.transactions: list[Transact] = []

    def execute(self, operation: Any, deadline: Any) -> Any:
        self.transactions.append(operation)
        return super().execute(operation, deadline)

    def carry_out(self, *items: Item) -> list[Outcome]:
        return run(import_items(entries(*items)), self, name="an import")


def test_a_version_and_its_latest_record_are_one_transaction() -> None:
    steps = import_items(entries(version(900_000), latest(900_000)))
    steps.send(None)

    transaction = steps.send(Stamped(0, "fresh"))

    newer = AnyOf((Missing("sub"), Below("updated_at", "900000")))
    assert transaction == Transact(
        (Put(SPECS, version(900_000), Missing("sub")), Put(SPECS, latest(900_000), newer)),
    )


def test_an_older_version_renews_the_newest_one() -> None:
    steps = import_items(entries(version(900_000)))
    steps.send(None)
    steps.send(Stamped(0, "fresh"))
    steps.send({1: latest(1_000_000, revision="stored")})

    transaction = steps.send(Stamped(0, "fresh"))

    assert transaction == Transact(
        (
            Put(SPECS, version(900_000), Missing("sub")),
            Put(SPECS, latest(1_000_000, revision="fresh"), Equal("revision", "stored")),
            Put(SPECS, version(1_000_000, revision="fresh")),
        )
    )


def test_the_first_conflict_is_retried_at_once_and_later_ones_with_backoff() -> None:
    steps: Any = import_items(entries(version(5)))
    lost = {1: latest(9)}
    asked = [steps.send(None), steps.send(Stamped(0, "r"))]
    asked += [steps.send(answer) for answer in (lost, Stamped(0, "r"), lost, None, Stamped(0, "r"), lost, None)]

    assert [type(operation) for operation in asked] == [
        *(Stamp, Transact),
        *(Stamp, Transact),
        *(Backoff, Stamp, Transact),
        *(Backoff, Stamp),
    ]
    assert [asked[4], asked[7]] == [Backoff(0), Backoff(1)]


def test_a_spec_deleted_during_the_import_is_created_again() -> None:
    steps: Any = import_items(entries(version(5)))
    for answer in (None, Stamped(0, "r"), {1: latest(9)}, Stamped(0, "r")):
        steps.send(answer)

    assert steps.send({1: None}) == Backoff(0)
    steps.send(None)
    transaction = steps.send(Stamped(0, "r"))

    assert transaction.actions[1].item == latest(5)


def test_a_latest_record_without_its_version_record_is_kept() -> None:
    store = MemoryStore()
    alone = latest(5, version="stored")
    store.items[SPECS.name, b"u1", b"latest#a"] = alone

    outcomes = Observed(store).carry_out(version(5))

    assert outcomes == [Outcome.KEPT]
    assert list(store.items.values()) == [alone]


def test_no_transaction_exceeds_the_maximum_number_of_actions() -> None:
    engine = Observed(MemoryStore())
    for number in range(120):
        execute(engine.store, Plan("create", "1", name=f"a{number}"))

    outcomes = engine.carry_out(*(version(SECOND - 1, f"a{number}") for number in range(120)))

    assert set(outcomes) == {Outcome.NEW}
    assert max(len(transaction.actions) for transaction in engine.transactions) <= MAX_TRANSACT_ACTIONS
    check_specs(engine.store)


def test_no_transaction_exceeds_the_maximum_size() -> None:
    engine = Observed(MemoryStore())
    large = {"description": "x" * 200_000}

    outcomes = engine.carry_out(*(version(SECOND - 1, f"a{number}", **large) for number in range(30)))
    engine.carry_out(*(version(SECOND - 2, f"a{number}", **large) for number in range(30)))

    def size(transaction: Transact) -> int:
        return sum(item_size(action.item) for action in transaction.actions if isinstance(action, Put))

    assert outcomes == [Outcome.NEW] * 30
    assert max(map(size, engine.transactions)) <= MAX_TRANSACT_BYTES
    check_specs(engine.store)
