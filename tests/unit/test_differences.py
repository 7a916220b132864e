"""Each difference between a deployed table and the schema is listed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.engines.dynamodb.administration import create_table
from open_alchemy.package_database.engines.dynamodb.table_differences import (
    index_descriptions,
    keys,
    production_differences,
    schema_differences,
)
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES

Description: TypeAlias = dict[str, Any]


def described(table: Table) -> Description:
    """Returns DynamoDB's description of a table that equals the schema and is protected as production requires."""
    request = copy.deepcopy(create_table(table))
    for index in request.get("GlobalSecondaryIndexes", ()):
        index["IndexStatus"] = "ACTIVE"
    return {
        **request,
        "TableStatus": "ACTIVE",
        "BillingModeSummary": {"BillingMode": request.pop("BillingMode")},
        "DeletionProtectionEnabled": True,
        "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS"},
    }


def local(description: Description) -> Description:
    index: Description = description["LocalSecondaryIndexes"][0]
    return index


def global_(description: Description) -> Description:
    index: Description = description["GlobalSecondaryIndexes"][0]
    return index


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_equals_the_schema_has_no_difference(table: Table) -> None:
    assert schema_differences(table, described(table)) == []


def test_the_order_of_keys_and_attributes_is_no_difference() -> None:
    description = described(SPECS)
    description["KeySchema"].reverse()
    description["AttributeDefinitions"].reverse()
    local(description)["KeySchema"].reverse()

    assert schema_differences(SPECS, description) == []


def test_a_table_that_does_not_exist_is_missing() -> None:
    assert schema_differences(SPECS, None) == ["the table is missing"]


def swap_keys(description: Description) -> None:
    for key in description["KeySchema"]:
        key["KeyType"] = {"HASH": "RANGE", "RANGE": "HASH"}[key["KeyType"]]


def turn_local(description: Description) -> None:
    description["LocalSecondaryIndexes"] = description.pop("GlobalSecondaryIndexes")


Change: TypeAlias = Callable[[Description], object]

CHANGES: list[tuple[Table, Change, list[str]]] = [
    (SPECS, lambda table: table.update(TableStatus="UPDATING"), ["the table is UPDATING, not ACTIVE"]),
    (
        SPECS,
        lambda table: table["KeySchema"].pop(),
        ["the table has the keys sub, not sub, updated_at_id"],
    ),
    (
        SPECS,
        lambda table: table["KeySchema"][1].update(AttributeName="id"),
        ["the table has the keys sub, id, not sub, updated_at_id"],
    ),
    (SPECS, swap_keys, ["the table has the keys updated_at_id, sub, not sub, updated_at_id"]),
    (
        SPECS,
        lambda table: table["AttributeDefinitions"][0].update(AttributeType="N"),
        ["the key attribute sub has the type N, not S"],
    ),
    (SPECS, lambda table: table.pop("LocalSecondaryIndexes"), ["the index idUpdatedAt is missing"]),
    (CREDENTIALS, lambda table: table.pop("GlobalSecondaryIndexes"), ["the index publicKey is missing"]),
    (CREDENTIALS, lambda table: table.update(GlobalSecondaryIndexes=[]), ["the index publicKey is missing"]),
    (
        CREDENTIALS,
        lambda table: global_(table).update(IndexName="other"),
        ["the index publicKey is missing", "the index other is not in the schema"],
    ),
    (CREDENTIALS, turn_local, ["the index publicKey is not global"]),
    (
        SPECS,
        lambda table: local(table)["KeySchema"][1].update(AttributeName="id"),
        ["the index idUpdatedAt has the keys sub, id, not sub, id_updated_at"],
    ),
    (
        CREDENTIALS,
        lambda table: global_(table)["KeySchema"].append({"AttributeName": "sub", "KeyType": "RANGE"}),
        ["the index publicKey has the keys public_key, sub, not public_key"],
    ),
    (
        SPECS,
        lambda table: local(table).update(Projection={"ProjectionType": "KEYS_ONLY"}),
        ["the index idUpdatedAt projects KEYS_ONLY, not ALL attributes"],
    ),
    (
        CREDENTIALS,
        lambda table: global_(table).update(Projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["salt"]}),
        ["the index publicKey projects INCLUDE, not ALL attributes"],
    ),
    (
        CREDENTIALS,
        lambda table: global_(table).update(IndexStatus="CREATING"),
        ["the index publicKey is CREATING, not ACTIVE"],
    ),
]


@pytest.mark.parametrize(("table", "change", "expected"), CHANGES, ids=[change[2][0] for change in CHANGES])
def test_a_difference_is_named(table: Table, change: Change, expected: list[str]) -> None:
    description = described(table)

    change(description)

    assert schema_differences(table, description) == expected


def test_all_differences_are_named_at_once() -> None:
    description = described(SPECS)
    description["TableStatus"] = "DELETING"
    swap_keys(description)
    local(description)["Projection"] = {"ProjectionType": "KEYS_ONLY"}

    assert len(schema_differences(SPECS, description)) == 3


RECOVERED = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}


def test_a_protected_production_table_has_no_difference() -> None:
    assert production_differences(described(SPECS), RECOVERED, {"TimeToLiveStatus": "DISABLED"}) == []


def without_protection() -> Iterator[tuple[Description, Description, str]]:
    table = described(SPECS)
    for backups in ({}, {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}):
        yield table, backups, "it has no point-in-time recovery"
    yield table | {"DeletionProtectionEnabled": False}, RECOVERED, "it has no deletion protection"
    unsaid = {name: value for name, value in table.items() if name != "DeletionProtectionEnabled"}
    yield unsaid, RECOVERED, "it has no deletion protection"
    yield table | {"SSEDescription": {"Status": "DISABLED"}}, RECOVERED, "it is not encrypted with a key of AWS KMS"
    # DynamoDB omits SSEDescription for a table that is encrypted with a key of AWS (AWS, TableDescription).
    plain = {name: value for name, value in table.items() if name != "SSEDescription"}
    yield plain, RECOVERED, "it is not encrypted with a key of AWS KMS"
    yield table | {"BillingModeSummary": {"BillingMode": "PROVISIONED"}}, RECOVERED, "its billing is not on-demand"
    # DynamoDB omits BillingModeSummary for a table that was never on-demand (AWS, TableDescription).
    provisioned = {name: value for name, value in table.items() if name != "BillingModeSummary"}
    yield provisioned, RECOVERED, "its billing is not on-demand"


@pytest.mark.parametrize("status", ["ENABLED", "ENABLING"])
def test_a_time_to_live_is_a_difference(status: str) -> None:
    expiry = {"TimeToLiveStatus": status, "AttributeName": "updated_at"}

    assert production_differences(described(SPECS), RECOVERED, expiry) == [
        "it deletes items whose updated_at has passed (time to live)"
    ]


@pytest.mark.parametrize(("description", "backups", "expected"), list(without_protection()))
def test_missing_protection_of_production_is_named(
    description: Description, backups: Description, expected: str
) -> None:
    assert production_differences(description, backups, {}) == [expected]


def test_keys_and_indexes_are_read_from_a_description() -> None:
    description = described(SPECS)

    assert keys(description) == ["sub", "updated_at_id"]
    assert {name: keys(index) for name, index in index_descriptions(description).items()} == {
        "idUpdatedAt": ["sub", "id_updated_at"]
    }
