"""The replaced methods of moto use less memory and time, and return the same results."""

from __future__ import annotations

import copy
import gc
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import moto.core.common_models
import moto.core.serialize
import pytest
from moto.core.model_instances import model_data
from moto.dynamodb.exceptions import TransactionCanceledException
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import create_backend_app

from open_alchemy.package_database.testing import dynamodb_server, moto_patches

TABLE = "numbers"
STORED = 50
TABLE_SETTINGS: dict[str, Any] = {
    "TableName": TABLE,
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("user", "id")],
    "KeySchema": [{"AttributeName": "user", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
}
Send = Callable[[str, dict[str, Any]], Any]


@pytest.fixture(name="limited")
def limited_(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name, function in moto_patches.replacements():
        monkeypatch.setattr(owner, name, function)


@pytest.fixture(name="send")
def send_() -> Iterator[Send]:
    client = create_backend_app("dynamodb").test_client()

    def send(action: str, parameters: dict[str, Any]) -> Any:
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{action}",
            "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request",
        }
        return json.loads(client.post("/", data=json.dumps(parameters), headers=headers).data)

    yield send
    dynamodb_backends.reset()


@pytest.fixture(name="backend")
def backend_(send: Send) -> DynamoDBBackend:
    send("CreateTable", TABLE_SETTINGS)
    backend: DynamoDBBackend = dynamodb_backends["123456789012"]["us-east-1"]
    backend.transact_write_items([put(str(number)) for number in range(STORED)])
    return backend


def item(id_: str, value: str = "0") -> dict[str, Any]:
    return {"user": {"S": "u1"}, "id": {"S": id_}, "value": {"N": value}}


def put(id_: str, value: str = "0", **condition: str) -> dict[str, Any]:
    return {"Put": {"TableName": TABLE, "Item": item(id_, value), **condition}}


def key(id_: str) -> dict[str, Any]:
    return {name: value for name, value in item(id_).items() if name != "value"}


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> Counter[str]:
    calls: Counter[str] = Counter()
    original = getattr(owner, name)

    def counting(*arguments: Any) -> Any:
        calls[name] += 1
        return original(*arguments)

    monkeypatch.setattr(owner, name, counting)
    return calls


def stored(backend: DynamoDBBackend) -> list[dict[str, Any]]:
    return [found.to_json()["Attributes"] for found in backend.tables[TABLE].all_items()]


@pytest.mark.usefixtures("limited")
def test_no_instance_is_tracked(backend: DynamoDBBackend) -> None:
    tracked = {name: len(model.instances_tracked) for name, model in model_data["dynamodb"].items()}  # type: ignore[attr-defined]

    backend.transact_write_items([put("new"), put("1", "2")])

    assert {name: len(model.instances_tracked) for name, model in model_data["dynamodb"].items()} == tracked  # type: ignore[attr-defined]
    assert len(stored(backend)) == STORED + 1


@pytest.mark.usefixtures("limited")
def test_a_transaction_copies_only_the_items_it_names(
    monkeypatch: pytest.MonkeyPatch, backend: DynamoDBBackend
) -> None:
    copies = count_calls(monkeypatch, Item, "__deepcopy__")

    backend.transact_write_items([put("new"), put("1", "2"), put("2", "2")])

    assert copies.total() == 2


@pytest.mark.usefixtures("limited")
def test_a_failed_transaction_restores_every_item(backend: DynamoDBBackend) -> None:
    before = stored(backend)
    actions = [
        put("new"),
        put("1", "5"),
        {"Delete": {"TableName": TABLE, "Key": key("2")}},
        {
            "Update": {
                "TableName": TABLE,
                "Key": key("3"),
                "UpdateExpression": "SET #v = :v",
                "ExpressionAttributeNames": {"#v": "value"},
                "ExpressionAttributeValues": {":v": {"N": "7"}},
            }
        },
        put("4", ConditionExpression="attribute_not_exists(id)"),
    ]

    backend.transact_write_items(copy.deepcopy(actions[:-1]))
    changed = stored(backend)
    backend.transact_write_items([put(id_) for id_ in ("1", "2", "3")])
    backend.transact_write_items([{"Delete": {"TableName": TABLE, "Key": key("new")}}])
    with pytest.raises(TransactionCanceledException):
        backend.transact_write_items(actions)

    assert changed != before
    assert stored(backend) == before


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    "action",
    [
        {"Put": {"TableName": TABLE, "Item": {"user": {"S": "u1"}}}},
        {"Put": {"TableName": "no-table", "Item": item("1")}},
    ],
)
def test_an_action_without_a_key_is_refused_by_moto(backend: DynamoDBBackend, action: dict[str, Any]) -> None:
    before = stored(backend)

    with pytest.raises(TransactionCanceledException):
        backend.transact_write_items([put("new"), action])

    assert stored(backend) == before


QUERY = {
    "TableName": TABLE,
    "KeyConditionExpression": "#u = :u",
    "ExpressionAttributeNames": {"#u": "user"},
    "ExpressionAttributeValues": {":u": {"S": "u1"}},
}


@pytest.mark.usefixtures("backend")
def test_responses_equal_those_of_moto(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = {"binary": {"B": "c2FsdA=="}, "map": {"M": {"list": {"L": [{"S": "a"}, {"BOOL": True}]}}}}
    send("PutItem", {"TableName": TABLE, "Item": {**item("all types"), **attributes}})
    expected = send("Query", QUERY)

    for owner, name, function in moto_patches.replacements():
        monkeypatch.setattr(owner, name, function)

    assert send("Query", QUERY) == expected
    assert expected["Count"] == STORED + 1


@pytest.mark.usefixtures("backend", "limited")
def test_plain_attributes_are_serialized_without_a_lookup(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = {str(number): {"B": "c2FsdA=="} for number in range(STORED)}
    send("PutItem", {"TableName": TABLE, "Item": {**item("binary"), **attributes}})
    lookups = count_calls(monkeypatch, moto.core.serialize.ResponseSerializer, "get_value")

    answer = send("Query", QUERY)

    assert answer["Count"] == STORED + 1
    assert lookups.total() < STORED


def scan_in_pages(send: Send, table: dict[str, Any]) -> list[Any]:
    """Returns the pages of a table with three items of each of 20 users."""
    name = {"TableName": table["TableName"]}
    send("CreateTable", table)
    for number in range(60):
        send("PutItem", {**name, "Item": {**item(str(-number)), "user": {"S": f"u{number % 20}"}}})
    pages = [send("Scan", {**name, "Limit": 7})]
    while "LastEvaluatedKey" in pages[-1]:
        pages.append(send("Scan", {**name, "Limit": 7, "ExclusiveStartKey": pages[-1]["LastEvaluatedKey"]}))
    return pages


@pytest.mark.parametrize(("keys", "stored"), [(1, 20), (2, 60)])
def test_pages_of_a_scan_equal_those_of_moto(
    send: Send, monkeypatch: pytest.MonkeyPatch, keys: int, stored: int
) -> None:
    table = {name: TABLE_SETTINGS[name][:keys] for name in ("AttributeDefinitions", "KeySchema")}
    expected = scan_in_pages(send, {**TABLE_SETTINGS, **table})
    dynamodb_backends.reset()

    for owner, name, function in moto_patches.replacements():
        monkeypatch.setattr(owner, name, function)

    assert scan_in_pages(send, {**TABLE_SETTINGS, **table}) == expected
    assert sum(page["Count"] for page in expected) == stored


@pytest.mark.usefixtures("limited")
def test_a_page_of_a_scan_skips_the_partitions_before_it(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = count_calls(monkeypatch, Table, "_item_comes_before_dct")

    pages = scan_in_pages(send, TABLE_SETTINGS)

    assert compared.total() <= 4 * len(pages)


def test_a_moto_without_these_methods_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(moto.core.common_models, "BaseModel")
    monkeypatch.delattr(DynamoDBBackend, "transact_write_items")
    monkeypatch.delattr(Table, "scan")
    monkeypatch.setitem(sys.modules, "moto.core.serialize", None)

    assert list(moto_patches.replacements()) == []


def test_the_server_applies_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = type("Owner", (), {})
    monkeypatch.setattr(moto_patches, "replacements", lambda: iter([(owner, "method", len)]))
    monkeypatch.setattr(gc, "set_threshold", lambda *limits: setattr(owner, "limits", limits))

    dynamodb_server.dynamodb()

    assert vars(owner)["method"] is len
    assert vars(owner)["limits"][2] == moto_patches._NEVER
