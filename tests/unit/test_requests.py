"""Each operation renders to an exact request, without a database."""

from __future__ import annotations

import re
from typing import Any

import pytest

from open_alchemy.package_database import RefusedError
from open_alchemy.package_database.core.operations import (
    AllOf,
    AnyOf,
    AtLeast,
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
    Scan,
    Stamped,
    Transact,
)
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb import administration, attribute_codec, requests
from open_alchemy.package_database.model import credentials, specs
from open_alchemy.package_database.model.keys import latest_key, padded
from open_alchemy.package_database.model.schema import CREDENTIALS, ID_UPDATED_AT, PUBLIC_KEY, SPECS, TABLES

KEY = {"sub": "u1", "updated_at_id": "latest#a"}
TYPED_KEY = {"sub": {"S": "u1"}, "updated_at_id": {"S": "latest#a"}}


def test_get() -> None:
    assert requests.get_item(Get(SPECS, KEY)) == {
        "TableName": "package.specs",
        "Key": TYPED_KEY,
        "ConsistentRead": True,
    }


def test_query_a_partition() -> None:
    assert requests.query(Query(CREDENTIALS, "u1")) == {
        "TableName": "package.credentials",
        "KeyConditionExpression": "#sub = :0",
        "ExpressionAttributeNames": {"#sub": "sub"},
        "ExpressionAttributeValues": {":0": {"S": "u1"}},
        "ConsistentRead": True,
    }


def test_query_a_table_by_prefix() -> None:
    assert requests.query(Query(SPECS, "u1", prefix="latest#")) == {
        "TableName": "package.specs",
        "KeyConditionExpression": "#sub = :0 AND begins_with(#updated_at_id, :1)",
        "ExpressionAttributeNames": {"#sub": "sub", "#updated_at_id": "updated_at_id"},
        "ExpressionAttributeValues": {":0": {"S": "u1"}, ":1": {"S": "latest#"}},
        "ConsistentRead": True,
    }


def test_a_query_projects_only_the_required_attributes() -> None:
    assert requests.query(Query(SPECS, "u1", attributes=("id", "name"))) == {
        "TableName": "package.specs",
        "KeyConditionExpression": "#sub = :0",
        "ConsistentRead": True,
        "ProjectionExpression": "#id, #name",
        "ExpressionAttributeNames": {"#sub": "sub", "#id": "id", "#name": "name"},
        "ExpressionAttributeValues": {":0": {"S": "u1"}},
    }


def test_query_the_local_index_is_strongly_consistent() -> None:
    assert requests.query(Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT)) == {
        "TableName": "package.specs",
        "IndexName": "idUpdatedAt",
        "KeyConditionExpression": "#sub = :0 AND begins_with(#id_updated_at, :1)",
        "ExpressionAttributeNames": {"#sub": "sub", "#id_updated_at": "id_updated_at"},
        "ExpressionAttributeValues": {":0": {"S": "u1"}, ":1": {"S": "a#"}},
        "ConsistentRead": True,
    }


def test_query_the_global_index_cannot_be_consistent() -> None:
    assert requests.query(Query(CREDENTIALS, "pk", secondary_index=PUBLIC_KEY)) == {
        "TableName": "package.credentials",
        "IndexName": "publicKey",
        "KeyConditionExpression": "#public_key = :0",
        "ExpressionAttributeNames": {"#public_key": "public_key"},
        "ExpressionAttributeValues": {":0": {"S": "pk"}},
    }


def test_query_a_page() -> None:
    query = Query(SPECS, "u1", prefix="latest#", limit=7, after=KEY)

    assert requests.query(query) == {
        **requests.query(Query(SPECS, "u1", prefix="latest#")),
        "Limit": 7,
        "ExclusiveStartKey": TYPED_KEY,
    }


def test_query_a_page_of_an_index() -> None:
    query = Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT, after={**KEY, "id_updated_at": "a#latest"})

    assert requests.query(query) == {
        **requests.query(Query(SPECS, "u1", prefix="a#", secondary_index=ID_UPDATED_AT)),
        "ExclusiveStartKey": {**TYPED_KEY, "id_updated_at": {"S": "a#latest"}},
    }


def test_scan_a_table() -> None:
    assert requests.scan(Scan(CREDENTIALS, limit=7)) == (
        "Scan",
        {"TableName": "package.credentials", "ConsistentRead": True, "Limit": 7},
    )


def test_scan_continues_after_a_key() -> None:
    assert requests.scan(Scan(SPECS, limit=7, after=KEY)) == (
        "Scan",
        {"TableName": "package.specs", "ConsistentRead": True, "Limit": 7, "ExclusiveStartKey": TYPED_KEY},
    )


def test_scan_a_partition() -> None:
    assert requests.scan(Scan(SPECS, limit=7, after=KEY, partition="u1")) == (
        "Query",
        {
            "TableName": "package.specs",
            "KeyConditionExpression": "#sub = :0",
            "ExpressionAttributeNames": {"#sub": "sub"},
            "ExpressionAttributeValues": {":0": {"S": "u1"}},
            "ConsistentRead": True,
            "Limit": 7,
            "ExclusiveStartKey": TYPED_KEY,
        },
    )


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Put(SPECS, KEY), {"Put": {"TableName": "package.specs", "Item": TYPED_KEY}}),
        (Delete(SPECS, KEY), {"Delete": {"TableName": "package.specs", "Key": TYPED_KEY}}),
    ],
)
def test_a_single_write_is_a_transaction_with_a_token(action: Put | Delete, expected: dict[str, Any]) -> None:
    assert requests.write(Transact((action,), "token")) == {"TransactItems": [expected], "ClientRequestToken": "token"}


def test_a_transaction_without_a_token_has_none() -> None:
    assert requests.write(Transact((Delete(SPECS, KEY),))).keys() == {"TransactItems"}


@pytest.mark.parametrize("action", [Put(SPECS, KEY, Missing("sub")), Check(SPECS, KEY, Missing("sub"))])
def test_a_void_transaction_uses_up_the_token_and_changes_nothing(action: Put | Check) -> None:
    assert requests.void(Transact((action, Delete(SPECS, {**KEY, "sub": "u2"})), "token")) == {
        "ClientRequestToken": "token",
        "TransactItems": [
            {
                "ConditionCheck": {
                    "TableName": "package.specs",
                    "Key": TYPED_KEY,
                    "ConditionExpression": "attribute_exists(#sub) OR attribute_not_exists(#sub)",
                    "ExpressionAttributeNames": {"#sub": "sub"},
                }
            }
        ],
    }


def test_a_transaction() -> None:
    operation = Transact(
        (
            Put(SPECS, {**KEY, "salt": Secret(b"s")}, Missing("sub")),
            Delete(SPECS, {**KEY, "updated_at_id": "1#a"}, Equal("revision", "r")),
            Delete(SPECS, {**KEY, "updated_at_id": "2#a"}),
            Check(SPECS, {**KEY, "updated_at_id": "3#a"}, Missing("sub")),
        ),
        "token",
    )

    assert requests.write(operation) == {
        "ClientRequestToken": "token",
        "TransactItems": [
            {
                "Put": {
                    "TableName": "package.specs",
                    "Item": {**TYPED_KEY, "salt": {"B": b"s"}},
                    "ConditionExpression": "attribute_not_exists(#sub)",
                    "ExpressionAttributeNames": {"#sub": "sub"},
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            },
            {
                "Delete": {
                    "TableName": "package.specs",
                    "Key": {**TYPED_KEY, "updated_at_id": {"S": "1#a"}},
                    "ConditionExpression": "#revision = :0",
                    "ExpressionAttributeNames": {"#revision": "revision"},
                    "ExpressionAttributeValues": {":0": {"S": "r"}},
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            },
            {"Delete": {"TableName": "package.specs", "Key": {**TYPED_KEY, "updated_at_id": {"S": "2#a"}}}},
            {
                "ConditionCheck": {
                    "TableName": "package.specs",
                    "Key": {**TYPED_KEY, "updated_at_id": {"S": "3#a"}},
                    "ConditionExpression": "attribute_not_exists(#sub)",
                    "ExpressionAttributeNames": {"#sub": "sub"},
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            },
        ],
    }


def rendered(condition: Condition) -> dict[str, Any]:
    request = requests.write(Transact((Check(SPECS, KEY, condition),)))
    check: dict[str, Any] = request["TransactItems"][0]["ConditionCheck"]
    return check


def test_numbers_in_text_are_compared_by_their_digits_first() -> None:
    check = rendered(Below("updated_at", "1000000"))
    other = rendered(AtLeast("updated_at", "1000000"))

    assert check["ConditionExpression"] == "(size(#updated_at) < :1 OR (size(#updated_at) = :1 AND #updated_at < :0))"
    assert check["ExpressionAttributeValues"] == {":0": {"S": "1000000"}, ":1": {"N": "7"}}
    assert other["ConditionExpression"] == "(size(#updated_at) > :1 OR (size(#updated_at) = :1 AND #updated_at >= :0))"
    assert other["ExpressionAttributeValues"] == {":0": {"S": "1000000"}, ":1": {"N": "7"}}


def test_a_descending_query_scans_the_index_backwards() -> None:
    assert requests.query(Query(SPECS, "u1", is_descending=True))["ScanIndexForward"] is False


def test_conditions_are_put_in_brackets() -> None:
    check = rendered(AnyOf((Missing("sub"), AllOf((Equal("version", "1"), Equal("revision", "1"))))))

    assert check["ConditionExpression"] == ("(attribute_not_exists(#sub) OR (#version = :0 AND #revision = :0))")
    assert check["ExpressionAttributeValues"] == {":0": {"S": "1"}}


def expressions(request: Any) -> list[dict[str, Any]]:
    """Returns every part of a request that has an expression."""
    if isinstance(request, list):
        return [part for entry in request for part in expressions(entry)]
    if not isinstance(request, dict):
        return []
    own = [request] if any(key.endswith("Expression") for key in request) else []
    return own + [part for entry in request.values() for part in expressions(entry)]


def test_every_name_goes_through_a_placeholder_and_every_placeholder_is_used() -> None:
    found = [part for request in requests_of_patterns() for part in expressions(request)]

    assert len(found) == 14
    for part in found:
        text = " ".join(value for key, value in part.items() if key.endswith("Expression"))
        assert set(re.findall(r"#\w+", text)) == part["ExpressionAttributeNames"].keys()
        assert set(re.findall(r":\w+", text)) == part.get("ExpressionAttributeValues", {}).keys()
        words = set(re.findall(r"(?<![#:\w])[a-z_]+", text))
        assert words <= {"attribute_not_exists", "begins_with", "size"}


def requests_of_patterns() -> list[dict[str, Any]]:
    found = []
    for pattern, answers in (
        (specs.create_update_spec.steps(sub="u1", name="a", version="1", model_count=1), [Stamped(900_000, "r")]),
        (specs.list_specs.steps(sub="u1"), []),
        (specs.list_spec_versions.steps(sub="u1", name="a"), []),
        (credentials.list_credentials.steps(sub="u1"), []),
        (credentials.get_user.steps(public_key="pk"), []),
        *[(specs.delete_spec.steps(sub="u1", name="a"), answers) for answers in deletions()],
    ):
        operation: Any = pattern.send(None)
        for answer in [*answers, None]:
            match operation:
                case Query():
                    found.append(requests.query(operation))
                case Transact():
                    found.append(requests.write(operation))
            if answer is not None:
                operation = pattern.send(answer)
    return found


def deletions() -> list[list[Any]]:
    """Returns the results of the operations of a delete: with records of version 4, and of this version."""
    latest = {**latest_key("u1", "a"), "id": "a", "updated_at": "99", "id_updated_at": "a#latest"}
    versions = [
        {**latest, "updated_at_id": f"{padded(second)}#a", "id_updated_at": f"a#{padded(second)}"}
        for second in range(100)
    ]
    newest = {**latest, "revision": "r"}
    return [[[record, *reversed(versions)], {}, [record, *versions[:-3:-1]]] for record in (latest, newest)]


def test_values_are_encoded_and_decoded() -> None:
    item: Item = {"text": "é", "number": 2**63 - 1, "binary": Secret(b"\x00")}

    encoded = attribute_codec.encode_item(item)

    assert encoded == {"text": {"S": "é"}, "number": {"N": "9223372036854775807"}, "binary": {"B": b"\x00"}}
    assert attribute_codec.decode_item(encoded) == item
    undecoded: Any = attribute_codec.decode_item({"other": {"BOOL": True}})
    assert undecoded == {"other": {"BOOL": True}}


def test_an_item_is_decoded_with_all_its_attributes() -> None:
    item: Any = {"sub": {"S": "u1"}, "id": {"S": "1"}, "number": {"N": "-7"}, "binary": {"B": Secret(b"\x00")}}

    assert attribute_codec.check_whole(CREDENTIALS, attribute_codec.decode_item(item)) == {
        "sub": "u1",
        "id": "1",
        "number": -7,
        "binary": b"\x00",
    }


@pytest.mark.parametrize("lost", [{"BOOL": True}, {"M": {}}, {"N": "1.5"}, {"N": "1E+2"}, {"SS": ["a"]}])
def test_an_unsupported_attribute_is_refused_by_name(lost: Any) -> None:
    item = {"sub": {"S": "u1"}, "id": {"S": "1"}, "odd": lost}

    with pytest.raises(RefusedError, match=r"package\.credentials with sub 'u1', id '1' .* its attributes odd are"):
        attribute_codec.check_whole(CREDENTIALS, attribute_codec.decode_item(item))


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_created_with_on_demand_billing_and_all_attributes_projected(table: Any) -> None:
    request = administration.create_table(table)

    indexes = [*request.get("LocalSecondaryIndexes", ()), *request.get("GlobalSecondaryIndexes", ())]
    assert request["BillingMode"] == "PAY_PER_REQUEST"
    assert [index["Projection"] for index in indexes] == [{"ProjectionType": "ALL"}]
    keys = {key["AttributeName"] for schema in (request, *indexes) for key in schema["KeySchema"]}
    assert keys == {definition["AttributeName"] for definition in request["AttributeDefinitions"]}


def test_the_tables_are_those_of_version_4() -> None:
    made = [administration.create_table(table) for table in TABLES]

    assert made[0]["TableName"] == "package.specs"
    assert made[0]["KeySchema"] == [
        {"AttributeName": "sub", "KeyType": "HASH"},
        {"AttributeName": "updated_at_id", "KeyType": "RANGE"},
    ]
    assert made[0]["LocalSecondaryIndexes"][0]["IndexName"] == "idUpdatedAt"
    assert made[0]["LocalSecondaryIndexes"][0]["KeySchema"] == [
        {"AttributeName": "sub", "KeyType": "HASH"},
        {"AttributeName": "id_updated_at", "KeyType": "RANGE"},
    ]
    assert made[1]["TableName"] == "package.credentials"
    assert made[1]["KeySchema"] == [
        {"AttributeName": "sub", "KeyType": "HASH"},
        {"AttributeName": "id", "KeyType": "RANGE"},
    ]
    assert made[1]["GlobalSecondaryIndexes"][0]["IndexName"] == "publicKey"
    assert made[1]["GlobalSecondaryIndexes"][0]["KeySchema"] == [{"AttributeName": "public_key", "KeyType": "HASH"}]
