"""The operations of the access patterns, one by one."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from open_alchemy.package_database import ConflictError, NotFoundError, TDatabase, ValidationError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import (
    MAX_TRANSACT_BYTES,
    AllOf,
    AnyOf,
    AtLeast,
    Backoff,
    Below,
    Check,
    Condition,
    Delete,
    Equal,
    Get,
    Item,
    Missing,
    Put,
    Query,
    Stamp,
    Stamped,
    Steps,
    Transact,
)
from open_alchemy.package_database.core.runner import execute_steps
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.database import SYSTEM, Database
from open_alchemy.package_database.model import ACCESS_PATTERNS, credentials, specs
from open_alchemy.package_database.model.keys import LATEST, latest_key, padded, record_keys
from open_alchemy.package_database.model.schema import CREDENTIALS, PUBLIC_KEY, SPECS
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


def test_the_api_has_one_function_for_every_access_pattern() -> None:
    promised = {name for name in vars(TDatabase) if not name.startswith("_")}

    assert [pattern.name for pattern in ACCESS_PATTERNS if not hasattr(Database, pattern.name)] == []
    assert {pattern.name for pattern in ACCESS_PATTERNS} == promised
    assert len(ACCESS_PATTERNS) == 19


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


def test_a_conflicting_write_is_retried_with_the_newest_record() -> None:
    steps = specs.create_update_spec.steps(sub="u1", name="a", version="1", model_count=1)
    steps.send(None)
    stamp, lost = Stamped(7, "r"), {1: {**record(100), "version": "0"}}

    asked: list[Any] = [steps.send(stamp)]
    asked += [steps.send(answer) for answer in (lost, stamp, lost, None, {**record(200), "version": "0"}, stamp)]

    assert asked[1:6] == [Stamp(), asked[2], Backoff(0), Get(SPECS, latest_key("u1", "a")), Stamp()]
    assert [transaction.actions[0].item["updated_at"] for transaction in asked[::2][:2]] == ["7", "101"]
    assert asked[6].actions[0].item["updated_at"] == "201"


@pytest.mark.parametrize(
    ("now", "seconds"), [(99, "100"), (100, "100"), (101, "101")], ids=["behind", "the same second", "past"]
)
def test_the_newest_version_is_replaced_only_if_the_clock_is_not_past_it(now: int, seconds: str) -> None:
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
        ({}, AllOf((Missing("revision"), Equal("updated_at", "100")))),
    ],
    ids=["ours", "version 4"],
)
def test_the_last_transaction_of_a_delete_checks_that_the_latest_record_is_unchanged(
    revision: dict[str, str], unchanged: Condition
) -> None:
    transactions = transactions_of_delete([record(second) for second in range(101)], revision)

    assert transactions[0].actions[0] == Check(SPECS, latest_key("u1", "a"), AtLeast("updated_at", "100"))
    assert transactions[-1].actions[0] == Delete(SPECS, latest_key("u1", "a"), unchanged)


def test_versions_newer_than_the_latest_record_are_deleted_while_it_is_unchanged() -> None:
    latest = {**record(0), "revision": "r", **latest_key("u1", "a"), "id_updated_at": "a#latest"}

    transactions = transactions_of_delete([record(second) for second in range(101)], latest=latest)

    assert transactions[0].actions[0] == Check(SPECS, latest_key("u1", "a"), Equal("revision", "r"))


def test_version_records_alone_are_deleted_while_there_is_no_latest_record() -> None:
    steps = specs.delete_spec.steps(sub="u1", name="a")
    steps.send(None)

    transaction = steps.send([record(2), record(1)])

    assert isinstance(transaction, Transact)
    assert transaction.actions[0] == Check(SPECS, latest_key("u1", "a"), Missing("sub"))
    assert deleted(transaction) == [f"{padded(1)}#a", f"{padded(2)}#a"]


def transactions_of_delete(
    versions: list[Item], revision: dict[str, str] | None = None, latest: Item | None = None
) -> list[Transact]:
    """Returns the transactions that delete a spec of these versions."""
    drawn = {"revision": "r"} if revision is None else revision
    latest = latest or {**versions[-1], **drawn, **latest_key("u1", "a"), "id_updated_at": "a#latest"}
    steps = specs.delete_spec.steps(sub="u1", name="a")
    found: list[Transact] = []
    operation = steps.send(None)
    with contextlib.suppress(StopIteration):
        while True:
            if isinstance(operation, Transact):
                found.append(operation)
                operation = steps.send({})
            else:
                gone = {key for transaction in found for key in deleted(transaction)}
                items = [*versions, latest]
                operation = steps.send([item for item in reversed(items) if item["updated_at_id"] not in gone])
    return found


def deleted(transaction: Transact) -> list[str]:
    return [action.key["updated_at_id"] for action in transaction.actions if isinstance(action, Delete)]


@pytest.mark.parametrize(
    ("versions", "sizes"), [(1, [2]), (99, [100]), (100, [99, 3]), (200, [99, 99, 5])], ids=["1", "99", "100", "200"]
)
def test_a_delete_takes_as_few_transactions_as_possible(versions: int, sizes: list[int]) -> None:
    transactions = transactions_of_delete([record(second) for second in range(1, versions + 1)])

    assert [len(transaction.actions) for transaction in transactions] == sizes
    assert all(isinstance(transaction.actions[0], Check) for transaction in transactions[:-1])
    assert deleted(transactions[-1])[:2] == ["latest#a", f"{padded(versions)}#a"]


def test_a_delete_respects_the_maximum_size_of_a_transaction() -> None:
    versions = [record(second, "x" * 199_000) for second in range(1, 42)]

    transactions = transactions_of_delete(versions)

    assert [len(deleted(transaction)) for transaction in transactions] == [18, 18, 6]
    assert 20 * item_size(versions[0]) <= MAX_TRANSACT_BYTES < 21 * item_size(versions[0])


def test_versions_are_queried_by_the_index() -> None:
    operation = specs.list_spec_versions.steps(sub="u1", name="A").send(None)

    assert operation == Query(SPECS, "u1", prefix="a#", secondary_index=SPECS.indexes[0])


def test_versions_are_read_again_until_they_contain_the_newest() -> None:
    latest = {**record(2), **latest_key("u1", "a"), "id_updated_at": "a#latest", "revision": "r"}
    steps = specs.list_spec_versions.steps(sub="u1", name="a")
    query = steps.send(None)

    assert steps.send([record(1), latest]) == query
    with pytest.raises(StopIteration) as stop:
        steps.send([record(1), record(2), latest])
    assert [info["updated_at"] for info in stop.value.value] == [1, 2]


def test_versions_are_read_a_limited_number_of_times() -> None:
    latest = {**record(2), **latest_key("u1", "a"), "id_updated_at": "a#latest", "revision": "r"}
    steps = specs.list_spec_versions.steps(sub="u1", name="a")

    queries = [steps.send(None), *(steps.send([record(1), latest]) for _ in range(3))]
    with pytest.raises(StopIteration) as stop:
        steps.send([record(1), latest])

    assert queries == queries[:1] * 4
    assert [info["updated_at"] for info in stop.value.value] == [1, 2]


def test_a_latest_record_that_version_4_left_without_its_version_record_is_the_newest_version() -> None:
    latest = {**record(2), **latest_key("u1", "a"), "id_updated_at": "a#latest"}
    steps = specs.list_spec_versions.steps(sub="u1", name="a")
    steps.send(None)

    with pytest.raises(StopIteration) as stop:
        steps.send([record(1), latest])
    assert [info["updated_at"] for info in stop.value.value] == [1, 2]


def test_a_page_of_specs_is_a_query_after_the_latest_record_of_an_id() -> None:
    operation: Any = specs.list_specs.steps(sub="u1", limit=7, after="a").send(None)

    assert (operation.prefix, operation.limit, operation.after) == ("latest#", 7, latest_key("u1", "a"))


LATEST_RECORD: Item = {**record(9), **record_keys(LATEST, "a"), "revision": "r"}


def page_of_versions(items: list[Item], limit: int | None = 2, after: int | None = 1) -> tuple[Any, Any, Any]:
    """Returns the steps that read a page, their first operation, and the next one or the result."""
    steps = specs.list_spec_versions.steps(sub="u1", name="A", limit=limit, after=after)
    first = steps.send(None)
    try:
        return steps, first, steps.send(items)
    except StopIteration as stop:
        return steps, first, [info["updated_at"] for info in stop.value]


@pytest.mark.parametrize("following", [LATEST_RECORD, {**record(4), "revision": "r"}], ids=["latest", "newer version"])
def test_a_page_of_versions_is_one_query(following: Item) -> None:
    _, query, found = page_of_versions([record(2), record(3), following])

    position = {"sub": "u1", "updated_at_id": f"{padded(1)}#a", "id_updated_at": f"a#{padded(1)}"}
    assert query == Query(SPECS, "u1", prefix="a#", secondary_index=SPECS.indexes[0], limit=3, after=position)
    assert found == [2, 3]


def test_the_latest_record_is_read_after_versions_of_version_4() -> None:
    steps, _, operation = page_of_versions([record(2), record(3), record(4)])

    assert operation == Get(SPECS, latest_key("u1", "a"))
    with pytest.raises(NotFoundError):
        steps.send(None)


def test_a_page_with_records_of_other_specs_only_is_followed_by_the_next() -> None:
    other = {**record(1), **record_keys(padded(1), "a#0"), "id": "a#0"}

    _, _, following = page_of_versions([other, other], limit=1)

    position = {name: other[name] for name in ("sub", "updated_at_id", "id_updated_at")}
    assert (following.limit, following.after) == (2, position)


def test_the_latest_record_is_read_when_only_records_of_other_specs_follow() -> None:
    other = {**record(1), **record_keys(padded(1), "a#b"), "id": "a#b"}

    steps, _, operation = page_of_versions([record(3), other, other])

    assert operation == Get(SPECS, latest_key("u1", "a"))
    with pytest.raises(StopIteration) as stop:
        steps.send({**LATEST_RECORD, "updated_at": "3"})
    assert [info["updated_at"] for info in stop.value.value] == [3]


def test_a_last_page_is_read_again_while_the_latest_record_is_newer() -> None:
    latest = {**LATEST_RECORD, "updated_at": "3"}
    steps, query, again = page_of_versions([record(2), latest], limit=9)

    assert again == query
    with pytest.raises(StopIteration) as stop:
        steps.send([record(2), record(3), latest])
    assert [info["updated_at"] for info in stop.value.value] == [2, 3]


CREDENTIALS_ITEM: Item = {
    "sub": "u1",
    "id": "laptop",
    "public_key": "pk",
    "secret_key_hash": Secret(b"hash"),
    "salt": Secret(b"salt"),
    "encoding": "raw",
}


def store_credentials() -> Steps[None]:
    return credentials.create_update_credentials.steps(
        sub="u1", id_="laptop", public_key="pk", secret_key_hash=b"hash", salt=b"salt"
    )


@pytest.mark.parametrize("held", [None, {**CREDENTIALS_ITEM}, {**CREDENTIALS_ITEM, "sub": "u2", "public_key": "new"}])
def test_credentials_are_stored_unless_others_have_their_public_key(held: Item | None) -> None:
    steps = store_credentials()
    query = steps.send(None)
    found = [] if held is None else [{"sub": held["sub"], "id": held["id"]}]

    asked = steps.send(found)
    while isinstance(asked, Get):
        asked = steps.send(held)

    assert query == Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY, attributes=("sub", "id"))
    assert asked == Transact((Put(CREDENTIALS, CREDENTIALS_ITEM),))


@pytest.mark.parametrize("other", [{"sub": "u2"}, {"id": "desktop"}])
def test_a_public_key_of_other_credentials_is_a_conflict(other: dict[str, str]) -> None:
    held = {**CREDENTIALS_ITEM, **other}
    steps = store_credentials()
    steps.send(None)

    assert steps.send([{"sub": held["sub"], "id": held["id"]}]) == Get(CREDENTIALS, CREDENTIALS.key_of(held))
    with pytest.raises(ConflictError, match="other credentials have the public_key 'pk'"):
        steps.send(held)


def test_a_public_key_of_two_credentials_authenticates_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Two concurrent calls can store one key on DynamoDB, because its index lags."""
    items: list[Item] = [CREDENTIALS_ITEM, {**CREDENTIALS_ITEM, "sub": "u2"}]
    steps = credentials.get_user.steps(public_key="pk")
    steps.send(None)

    steps.send([{"sub": item["sub"], "id": item["id"]} for item in items])
    steps.send(items[0])
    with pytest.raises(ConflictError, match="2 credentials have the public_key 'pk'"):
        steps.send(items[1])

    assert "'u1'" in caplog.text
    assert "'u2'" in caplog.text
    assert "hash" not in caplog.text


def test_the_lookup_of_a_user_reads_no_secret_from_the_index() -> None:
    query: Any = credentials.get_user.steps(public_key="pk").send(None)

    assert query.attributes == ("sub", "id")


def test_all_credentials_are_deleted_in_as_few_transactions_as_possible() -> None:
    items = [{**CREDENTIALS_ITEM, "id": str(number)} for number in range(250)]
    steps = credentials.delete_all_credentials.steps(sub="u1")
    steps.send(None)

    transactions: list[Any] = [steps.send(items), steps.send({}), steps.send({})]

    assert [len(transaction.actions) for transaction in transactions] == [100, 100, 50]
    with pytest.raises(StopIteration):
        steps.send({})


def test_large_credentials_are_deleted_in_transactions_of_4_mb() -> None:
    items = [{**CREDENTIALS_ITEM, "id": str(number), "salt": b"s" * 400_000} for number in range(12)]
    steps = credentials.delete_all_credentials.steps(sub="u1")
    steps.send(None)

    transactions: list[Any] = [steps.send(items), steps.send({})]

    assert [len(transaction.actions) for transaction in transactions] == [9, 3]


@pytest.mark.parametrize(
    "steps",
    [
        specs.create_update_spec.steps(sub="u1", name="a", version="1", model_count=1, description="x" * 205_000),
        credentials.create_update_credentials.steps(
            sub="u1", id_="1", public_key="pk", secret_key_hash=b"h" * 410_000, salt=b"s"
        ),
    ],
    ids=["spec", "credentials"],
)
def test_an_item_that_is_too_large_is_refused_before_the_first_operation(steps: Steps[None]) -> None:
    with pytest.raises(ValidationError, match="which must be at most"):
        next(steps)


def test_a_clock_before_1970_counts_as_1970() -> None:
    steps = specs.create_update_spec.steps(sub="u1", name="a", version="1", model_count=1)
    sources = SYSTEM._replace(seconds=lambda: -5.5)

    operation: Any = next(execute_steps(steps, next(steps), "create", Deadline(5), sources))

    assert operation.actions[0].item["updated_at"] == "0"


def test_every_transaction_has_a_token_of_its_own() -> None:
    steps = credentials.delete_all_credentials.steps(sub="u1")
    unique = map(str, range(9))
    sources = SYSTEM._replace(revision=lambda: next(unique))
    running = execute_steps(steps, next(steps), "delete", Deadline(5), sources)
    next(running)

    transactions: list[Any] = [running.send([{**CREDENTIALS_ITEM, "id": str(number)} for number in range(200)])]
    transactions.append(running.send({}))

    assert [transaction.token for transaction in transactions] == ["0", "1"]
