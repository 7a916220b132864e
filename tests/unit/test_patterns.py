"""What the access patterns ask for, step by step."""

from __future__ import annotations

from typing import Any

import pytest

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.core.operations import (
    MAX_TRANSACT_BYTES,
    AllOf,
    AnyOf,
    Backoff,
    Below,
    Check,
    Condition,
    Delete,
    Equal,
    Item,
    Missing,
    Put,
    Query,
    Stamp,
    Stamped,
    Transact,
)
from open_alchemy.package_database.database import Database
from open_alchemy.package_database.model import ACCESS_PATTERNS, specs
from open_alchemy.package_database.model.schema import SPECS, latest_key, padded
from open_alchemy.package_database.model.validation import item_size


def record(seconds: int, description: str = "") -> Item:
    return {
        "sub": "u1",
        "id": "a",
        "name": "a",
        "model_count": 1,
        "version": "1",
        "updated_at": str(seconds),
        "description": description,
        "updated_at_id": f"{padded(seconds)}#a",
        "id_updated_at": f"a#{padded(seconds)}",
    }


def test_the_facade_has_a_function_for_every_access_pattern_and_no_other() -> None:
    promised = {name for name in vars(TDatabase) if not name.startswith("_")}

    assert [pattern.name for pattern in ACCESS_PATTERNS if not hasattr(Database, pattern.name)] == []
    assert {pattern.name for pattern in ACCESS_PATTERNS} == promised
    assert len(ACCESS_PATTERNS) == 15


def test_the_two_records_of_a_version() -> None:
    steps = specs.create_update_spec.steps(
        sub="u1", name="My.Spec", version="2.0", model_count=3, title="title", description="description"
    )
    steps.send(None)

    transaction = steps.send(Stamped(1_700_000_000, "9f0c"))

    common = {
        "sub": "u1",
        "id": "my-spec",
        "name": "My.Spec",
        "updated_at": "1700000000",
        "version": "2.0",
        "model_count": 3,
        "title": "title",
        "description": "description",
        "revision": "9f0c",
    }
    assert isinstance(transaction, Transact)
    version, latest = transaction.actions
    assert isinstance(version, Put)
    assert isinstance(latest, Put)
    assert version.item == {
        **common,
        "updated_at_id": "00000000001700000000#my-spec",
        "id_updated_at": "my-spec#00000000001700000000",
    }
    absent, same_version = Missing("sub"), Equal("version", "2.0")
    assert version.condition == AnyOf((absent, same_version))
    assert latest.condition == AnyOf(
        (absent, Below("updated_at", "1700000000"), AllOf((Equal("updated_at", "1700000000"), same_version)))
    )
    assert latest.item == {**common, "updated_at_id": "latest#my-spec", "id_updated_at": "my-spec#latest"}


def test_a_lost_race_is_run_again_at_once_and_after_that_waits() -> None:
    steps = specs.create_update_spec.steps(sub="u1", name="a", version="1", model_count=1)
    steps.send(None)
    lost = {1: record(100)}

    asked: list[Any] = [steps.send(Stamped(7, "r"))]
    asked += [steps.send(answer) for answer in (lost, Stamped(7, "r"), lost, None, Stamped(7, "r"), lost)]

    assert [type(operation) for operation in asked] == [Transact, Stamp, Transact, Backoff, Stamp, Transact, Stamp]
    assert asked[3] == Backoff(0)


@pytest.mark.parametrize(
    ("now", "seconds"), [(99, "100"), (100, "100"), (101, "101")], ids=["behind", "the same second", "past"]
)
def test_the_newest_version_is_replaced_only_where_the_clock_is_not_past_it(now: int, seconds: str) -> None:
    steps = specs.create_update_spec.steps(sub="u1", name="a", version="1", model_count=1)
    steps.send(None)
    steps.send(Stamped(99, "r"))
    steps.send({1: record(100)})

    transaction: Any = steps.send(Stamped(now, "r"))

    assert transaction.actions[1].item["updated_at"] == seconds


@pytest.mark.parametrize(
    ("revision", "unchanged"),
    [
        ({"revision": "r"}, Equal("revision", "r")),
        ({}, AllOf((Missing("revision"), Equal("updated_at", "2")))),
    ],
    ids=["ours", "version 4"],
)
def test_every_transaction_of_a_delete_checks_that_the_latest_record_is_unchanged(
    revision: dict[str, str], unchanged: Condition
) -> None:
    transactions = transactions_of_delete([record(1), record(2)], revision)

    assert transactions[0].actions[0] == Check(SPECS, latest_key("u1", "a"), unchanged)
    assert transactions[1].actions[0] == Delete(SPECS, latest_key("u1", "a"), unchanged)


def test_version_records_alone_are_deleted_while_there_is_no_latest_record() -> None:
    steps = specs.delete_spec.steps(sub="u1", name="a")
    steps.send(None)
    steps.send(None)

    transaction = steps.send([record(1), record(2)])

    assert isinstance(transaction, Transact)
    assert transaction.actions[0] == Check(SPECS, latest_key("u1", "a"), Missing("sub"))
    assert deleted(transaction) == [f"{padded(1)}#a", f"{padded(2)}#a"]


def transactions_of_delete(versions: list[Item], revision: dict[str, str] | None = None) -> list[Transact]:
    """Returns the transactions that delete a spec of these versions."""
    drawn = {"revision": "r"} if revision is None else revision
    latest = {**versions[-1], **drawn, **latest_key("u1", "a"), "id_updated_at": "a#latest"}
    steps = specs.delete_spec.steps(sub="u1", name="a")
    steps.send(None)
    steps.send(latest)
    found: list[Any] = [steps.send([*versions, latest])]
    with pytest.raises(StopIteration):
        while True:
            found.append(steps.send({}))
    return found


def deleted(transaction: Transact) -> list[str]:
    return [action.key["updated_at_id"] for action in transaction.actions if isinstance(action, Delete)]


def test_a_delete_goes_in_transactions_of_99_deletes_and_a_check() -> None:
    transactions = transactions_of_delete([record(second) for second in range(1, 201)])

    assert [len(transaction.actions) for transaction in transactions] == [100, 100, 2, 2]
    assert [isinstance(transaction.actions[0], Check) for transaction in transactions] == [True, True, True, False]
    assert deleted(transactions[0])[0] == f"{padded(1)}#a"
    assert deleted(transactions[-1]) == ["latest#a", f"{padded(200)}#a"]


def test_a_delete_keeps_to_the_size_of_a_transaction_with_the_record_that_it_checks() -> None:
    versions = [record(second, "x" * 199_000) for second in range(1, 42)]

    transactions = transactions_of_delete(versions)

    assert [len(deleted(transaction)) for transaction in transactions] == [19, 19, 2, 2]
    assert 20 * item_size(versions[0]) <= MAX_TRANSACT_BYTES < 21 * item_size(versions[0])


def test_versions_are_looked_for_in_the_index() -> None:
    operation = specs.list_spec_versions.steps(sub="u1", name="A").send(None)

    assert operation == Query(SPECS, "u1", prefix="a#", index=SPECS.indexes[0])


def test_versions_that_others_write_to_are_read_again_until_the_newest_is_seen() -> None:
    latest = {**record(2), **latest_key("u1", "a"), "id_updated_at": "a#latest"}
    steps = specs.list_spec_versions.steps(sub="u1", name="a")
    query = steps.send(None)

    assert steps.send([record(1), latest]) == Backoff(0)
    assert steps.send(None) == query
    with pytest.raises(StopIteration) as stop:
        steps.send([record(1), record(2), latest])
    assert [info["updated_at"] for info in stop.value.value] == [1, 2]


def test_a_latest_record_that_version_4_left_without_its_version_record_is_the_newest_version() -> None:
    latest = {**record(2), **latest_key("u1", "a"), "id_updated_at": "a#latest"}
    steps = specs.list_spec_versions.steps(sub="u1", name="a")
    steps.send(None)

    for attempt in range(3):
        assert steps.send([record(1), latest]) == Backoff(attempt)
        steps.send(None)
    with pytest.raises(StopIteration) as stop:
        steps.send([record(1), latest])
    assert [info["updated_at"] for info in stop.value.value] == [1, 2]
