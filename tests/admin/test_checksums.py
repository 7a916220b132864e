"""Checksums of stores, and the differences between two stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from open_alchemy.package_database import RefusedError
from open_alchemy.package_database.admin.checksums import ItemsChecksum, StoreChecksum, compute, differences, entries
from open_alchemy.package_database.admin.import_batches import Imported, import_entries
from open_alchemy.package_database.admin.import_items import BATCH_ENTRIES, Outcome
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Item, Put, StoreOperation, Transact
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.database import run
from open_alchemy.package_database.model.keys import LATEST, padded, record_keys
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS
from open_alchemy.package_database.testing.memory import MemoryEngine, MemoryStore
from tests.admin.stores import Interruption, credentials, filled, put, reader
from tests.simulation.invariants import check_specs
from tests.simulation.scheduler import SECOND, Plan, execute


def copy(source: MemoryStore, target: MemoryStore, *, fail_at: int | None = None) -> Imported:
    return import_entries(
        entries(reader(source, fail_at=fail_at)),
        lambda steps: run(steps, MemoryEngine(target), name="an import"),
        lambda _: None,
    )


def checksum(store: MemoryStore) -> StoreChecksum:
    return compute(reader(store), lambda _: None)


def found(source: MemoryStore, target: MemoryStore) -> list[str]:
    return differences(checksum(source), checksum(target))


def record(store: MemoryStore, seconds: int, *, moment: str | None = None, version: str = "1", **others: Any) -> None:
    """Stores a version record, or a record with another time in its keys, without an access pattern."""
    common: Item = {"sub": "u1", "id": "a", "name": "a", "version": version, "model_count": 1}
    keys = record_keys(moment or padded(seconds), "a")
    item = {**common, "updated_at": str(seconds), **keys, **others}
    store.items[SPECS.name, b"u1", keys["updated_at_id"].encode()] = item


def test_a_copy_has_the_same_checksum() -> None:
    source, target = filled(), MemoryStore()

    copied = copy(source, target)

    assert target.items == source.items
    assert found(source, target) == []
    assert str(checksum(source)).startswith("versions: 6, credentials: 3, checksum ")
    assert sum(copied.counts.values()) == 9


def transactions(source: MemoryStore) -> list[Transact]:
    """Returns the transactions, also the failed ones, of a copy to an empty store."""
    found: list[Transact] = []

    class Recording(MemoryEngine):
        def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
            if isinstance(operation, Transact):
                found.append(operation)
            return super().execute(operation, deadline)

    engine = Recording(MemoryStore())
    import_entries(entries(reader(source)), lambda steps: run(steps, engine, name="an import"), lambda _: None)
    return found


def test_a_transaction_of_a_copy_has_one_partition() -> None:
    """PostgreSQL refuses others: two users may be on two servers."""
    subs = [
        {action.item["sub"] for action in transaction.actions if isinstance(action, Put)}
        for transaction in transactions(filled())
    ]

    assert {len(found) for found in subs} == {1}
    assert set().union(*subs) == {"u0", "u1", "u2"}


def test_a_copy_writes_each_version_and_its_latest_record_once() -> None:
    source = MemoryStore()
    for number in range(BATCH_ENTRIES + 1):
        execute(source, Plan("create", "1.0", (SECOND,), sub="u1", name=f"spec-{number}"))

    sizes = [len(transaction.actions) for transaction in transactions(source)]

    assert sizes == [2 * BATCH_ENTRIES, 2]


@pytest.mark.parametrize(("page", "writes"), [(1, 0), (18, 1), (35, 2)])
def test_an_interrupted_copy_can_be_repeated(page: int, writes: int) -> None:
    source, target = filled(20), MemoryStore()
    with pytest.raises(Interruption):
        copy(source, target, fail_at=page)
    check_specs(target)
    assert target.writes >= writes

    copied = copy(source, target)

    assert (copied.counts[Outcome.SAME] > 0) is (writes > 0)
    assert found(source, target) == []


def test_a_copy_of_stored_items_writes_nothing() -> None:
    source, target = filled(), MemoryStore()
    copy(source, target)
    writes = target.writes

    copy(source, target)

    assert target.writes == writes


def test_order_and_revision_do_not_change_the_checksum() -> None:
    source, target = filled(), MemoryStore()
    for place, item in reversed(source.items.items()):
        renewed = {"revision": "other"} if "revision" in item else {}
        target.items[place] = {**dict(reversed(list(item.items()))), **renewed}

    assert found(source, target) == []


LOSSES: dict[str, tuple[Callable[[tuple[str, bytes, bytes]], bool], str]] = {
    "a version": (lambda place: place[2].startswith(b"0"), "versions of specs: 6 and 5"),
    "credentials": (lambda place: place[0] == CREDENTIALS.name, "credentials: 3 and 2"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_item_changes_the_checksum(loss: str) -> None:
    is_lost, expected = LOSSES[loss]
    source, target = filled(), MemoryStore()
    copy(source, target)
    del target.items[next(place for place in target.items if is_lost(place))]

    assert found(source, target) == [expected]


@pytest.mark.parametrize("name", ["public_key", "secret_key_hash", "salt"])
def test_changed_credentials_change_the_checksum(name: str) -> None:
    source, target = filled(), MemoryStore()
    copy(source, target)
    changed = "other" if name == "public_key" else Secret(b"other")
    put(target, {**credentials("u1"), name: changed})

    assert found(source, target) == ["credentials: 3 in both, with different content"]


def test_two_equal_changes_do_not_cancel_out() -> None:
    source, target = filled(), MemoryStore()
    copy(source, target)
    for sub in ("u0", "u1"):
        put(target, {**credentials(sub), "salt": Secret(b"other")})

    assert found(source, target) == ["credentials: 3 in both, with different content"]


def test_a_duplicate_changes_the_checksum_of_256_bits() -> None:
    twice, large = ItemsChecksum(), ItemsChecksum()
    for digest in (7, 7):
        twice.add(digest)
    for digest in (2**256 - 1, 3):
        large.add(digest)

    assert (twice, large) == (ItemsChecksum(2, 14), ItemsChecksum(2, 2))


def test_a_latest_record_that_is_not_the_newest_version_changes_the_checksum() -> None:
    source, target = filled(1), MemoryStore()
    copy(source, target)
    latest = next(place for place in target.items if place[2].startswith(b"latest"))
    target.items[latest] = {**target.items[latest], "version": "other"}

    assert found(source, target) == ["versions of specs: 2 and 3"]


def leave_no_version(store: MemoryStore) -> None:
    record(store, SECOND, moment=LATEST)


def leave_no_latest_record(store: MemoryStore) -> None:
    record(store, SECOND)
    record(store, SECOND + 1)


def leave_an_old_latest_record(store: MemoryStore) -> None:
    record(store, SECOND)
    record(store, SECOND + 1)
    record(store, SECOND, moment=LATEST)


def leave_an_old_latest_record_without_its_version(store: MemoryStore) -> None:
    record(store, SECOND + 1)
    record(store, SECOND, moment=LATEST)


def leave_a_newer_latest_record_without_its_version(store: MemoryStore) -> None:
    record(store, SECOND)
    record(store, SECOND + 1, moment=LATEST)


@pytest.mark.parametrize(
    "leave",
    [
        leave_no_version,
        leave_no_latest_record,
        leave_an_old_latest_record,
        leave_an_old_latest_record_without_its_version,
        leave_a_newer_latest_record_without_its_version,
    ],
)
def test_an_incomplete_spec_of_version_4_is_completed_with_the_same_checksum(
    leave: Callable[[MemoryStore], None],
) -> None:
    source, target = filled(2), MemoryStore()
    source.items = {place: item for place, item in source.items.items() if place[1] != b"u1"}
    leave(source)

    copied = copy(source, target)

    check_specs(target)
    assert copied.kept == []
    assert found(source, target) == []


def test_an_item_that_an_import_would_refuse_is_named() -> None:
    store = filled(1)
    put(store, {key: value for key, value in credentials("u7").items() if key != "salt"})

    with pytest.raises(RefusedError, match=r"credentials with sub 'u7', id '1' is invalid: salt is missing"):
        copy(store, MemoryStore())


def test_a_version_published_during_a_copy_is_a_difference() -> None:
    source, target = filled(1), MemoryStore()
    copy(source, target)
    execute(source, Plan("create", "3.0", (SECOND + 5,), sub="u0"))

    between = found(source, target)
    copy(source, target)

    assert between == ["versions of specs: 3 and 2"]
    assert found(source, target) == []
