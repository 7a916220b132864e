from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.capacity import item_size, read_units, write_units
from benchmarks.conditions import holds
from benchmarks.loopback import take_request
from benchmarks.peers.examples import GET_SPEC, NAME, query_latest, spec_item
from benchmarks.store import PAGE_BYTES, Store


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({}, 0),
        ({"sub": {"S": "u1"}}, 5),
        ({"sub": {"S": "ü"}}, 5),
        ({"n": {"N": "0"}}, 2),
        ({"n": {"N": "7"}}, 3),
        ({"n": {"N": "123"}}, 4),
        ({"n": {"N": "12000"}}, 3),
    ],
)
def test_an_item_is_as_large_as_its_names_and_values(item: dict[str, Any], size: int) -> None:
    assert item_size(item) == size


@pytest.mark.parametrize(("sizes", "units"), [([], 1), ([1], 1), ([4096], 1), ([4097], 2), ([3000, 3000], 2)])
def test_what_one_request_reads_is_rounded_up_together(sizes: list[int], units: float) -> None:
    assert read_units(sizes, consistent=True) == units


def test_a_read_that_may_be_old_costs_half() -> None:
    assert read_units([5000], consistent=False) == 1


@pytest.mark.parametrize(("sizes", "units"), [([0], 1), ([1024], 1), ([1025], 2), ([300, 300], 2)])
def test_what_one_request_writes_is_rounded_up_item_by_item(sizes: list[int], units: float) -> None:
    assert write_units(sizes, transaction=False) == units


def test_a_transaction_is_written_twice_in_the_table_and_in_its_index() -> None:
    assert write_units([300, 300], transaction=True, indexes=1) == 8


@pytest.mark.parametrize(
    ("condition", "item", "expected"),
    [
        ("attribute_not_exists(#a)", None, True),
        ("attribute_not_exists(#a)", {"a": {"S": "x"}}, False),
        ("#a = :0", {"a": {"S": "x"}}, True),
        ("#a = :0", {"a": {"S": "y"}}, False),
        ("#a = :0", None, False),
        ("size(#a) < :1", {"a": {"S": "x"}}, True),
        ("size(#a) < :1", {"a": {"S": "xxx"}}, False),
        ("size(#a) < :1", None, False),
        ("#a = :0 OR #a = :2 AND #b = :0", {"a": {"S": "x"}}, True),
        ("(#a = :0 OR #a = :2) AND #b = :0", {"a": {"S": "x"}}, False),
    ],
)
def test_a_condition_holds_as_it_reads(condition: str, item: dict[str, Any] | None, expected: bool) -> None:  # noqa: FBT001
    part = {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#a": "a", "#b": "b"},
        "ExpressionAttributeValues": {":0": {"S": "x"}, ":1": {"N": "3"}, ":2": {"S": "y"}},
    }

    assert holds(part, item) is expected


def test_a_condition_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="missing"):
        holds({"ConditionExpression": "(#a = #a", "ExpressionAttributeNames": {"#a": "a"}}, None)


def _ask(store: Store, action: str, request: dict[str, Any]) -> Any:
    return json.loads(store.respond(action.encode(), json.dumps(request).encode()).partition(b"\r\n\r\n")[2])


def _loaded(specs: int, versions: int = 0) -> Store:
    store = Store()
    store.load(specs=specs, versions=versions)
    return store


def test_a_record_is_read_by_its_key() -> None:
    assert _ask(_loaded(2), "GetItem", GET_SPEC)["Item"] == spec_item(0)


def test_a_page_ends_at_a_megabyte_and_the_next_goes_on() -> None:
    store = _loaded(6000)
    first = _ask(store, "Query", query_latest("user"))

    second = _ask(store, "Query", {**query_latest("user"), "ExclusiveStartKey": first["LastEvaluatedKey"]})

    items = first["Items"] + second["Items"]
    assert sum(map(item_size, first["Items"][:-1])) < PAGE_BYTES <= sum(map(item_size, first["Items"]))
    assert items == sorted((spec_item(number) for number in range(6000)), key=lambda item: item["updated_at_id"]["S"])
    assert "LastEvaluatedKey" not in second


def test_a_query_of_an_index_reads_in_its_order() -> None:
    store = _loaded(1, versions=3)
    request = {
        "TableName": "package.specs",
        "IndexName": "idUpdatedAt",
        "ExpressionAttributeValues": {":0": {"S": "user"}, ":1": {"S": f"{NAME}#"}},
    }

    moments = [item["updated_at_id"]["S"] for item in _ask(store, "Query", request)["Items"]]

    assert moments == [f"{1_600_000_000 + number:020}#{NAME}" for number in range(3)] + [f"latest#{NAME}"]


def _put(version: str, condition: str | None = None) -> dict[str, Any]:
    item = {**spec_item(0), "version": {"S": version}}
    names = {"ConditionExpression": condition, "ExpressionAttributeNames": {"#sub": "sub"}} if condition else {}
    return {"TransactItems": [{"Put": {"TableName": "package.specs", "Item": item, **names}}]}


def test_a_transaction_whose_condition_fails_changes_nothing_and_says_what_is_there() -> None:
    store = _loaded(1)

    refused = _ask(store, "TransactWriteItems", _put("9", "attribute_not_exists(#sub)"))

    assert refused["CancellationReasons"] == [{"Code": "ConditionalCheckFailed", "Item": spec_item(0)}]
    assert _ask(store, "GetItem", GET_SPEC)["Item"]["version"] == {"S": "2.0"}


def test_a_transaction_replaces_and_deletes() -> None:
    store = _loaded(1)
    _ask(store, "TransactWriteItems", _put("9"))
    replaced = _ask(store, "GetItem", GET_SPEC)["Item"]["version"]

    _ask(store, "TransactWriteItems", {"TransactItems": [{"Delete": {"Key": GET_SPEC["Key"]}}]})

    assert replaced == {"S": "9"}
    assert _ask(store, "GetItem", GET_SPEC) == {}


def test_the_store_counts_what_was_asked() -> None:
    store = _loaded(100)
    _ask(store, "Query", query_latest("user"))
    _ask(store, "TransactWriteItems", _put("9"))

    tally = _ask(store, "Tally", {})

    size = sum(item_size(spec_item(number)) for number in range(100))
    assert tally == {"requests": 2, "read_units": -(-size // 4096), "write_units": 4}


def test_a_request_is_taken_when_all_of_it_has_come() -> None:
    received = b"POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Length: 2\r\n\r\n{}POST"

    assert take_request(received) == (b"GetItem", b"{}", b"POST")
    assert take_request(received[:-5]) is None
    assert take_request(received[:20]) is None
