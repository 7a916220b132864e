"""Lists the differences between the description of a deployed table and the schema. Does no I/O.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ...core.operations import Index, Table

Description: TypeAlias = Mapping[str, Any]

_SCOPES: Final = {"local": "LocalSecondaryIndexes", "global": "GlobalSecondaryIndexes"}


def schema_differences(table: Table, description: Description | None) -> list[str]:
    """Returns how a table differs from the schema, a difference each; empty where it does not.

    Args:
        table: The table of the schema.
        description: DynamoDB's description of the table; None where it is not there.
    """
    if description is None:
        return ["the table is missing"]
    return [*_of_table(table, description), *_of_indexes(table, description)]


def production_differences(description: Description, backups: Description, expiry: Description) -> list[str]:
    """Returns what a table lacks that a production table has, or has that would cost it items.

    Args:
        description: DynamoDB's description of the table.
        backups: DynamoDB's description of its continuous backups.
        expiry: DynamoDB's description of its time to live.
    """
    found = []
    if backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
        found.append("it has no point-in-time recovery")
    if not description.get("DeletionProtectionEnabled"):
        found.append("it has no deletion protection")
    if description.get("BillingModeSummary", {}).get("BillingMode") != "PAY_PER_REQUEST":
        found.append("its billing is not on-demand")
    if description.get("SSEDescription", {}).get("Status") not in ("ENABLED", "UPDATING"):
        found.append("it is not encrypted with a key of AWS KMS")
    if expiry.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        found.append(f"it deletes items whose {expiry.get('AttributeName')} has passed (time to live)")
    return found


def keys(description: Description) -> list[str]:
    """Returns the names of the keys of a table or an index, the partition key first."""
    return [key["AttributeName"] for type_ in ("HASH", "RANGE") for key in _schema(description, type_)]


def index_descriptions(description: Description) -> dict[str, Description]:
    """Returns the descriptions of all indexes of a table, by name."""
    return {index["IndexName"]: index for kind in _SCOPES.values() for index in description.get(kind, ())}


def _schema(description: Description, type_: str) -> Iterator[Description]:
    return (key for key in description["KeySchema"] if key["KeyType"] == type_)


def _of_table(table: Table, description: Description) -> Iterator[str]:
    if description["TableStatus"] != "ACTIVE":
        yield f"the table is {description['TableStatus']}, not ACTIVE"
    yield from _of_keys("the table", table, description)
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in description["AttributeDefinitions"]}
    for attribute in table.attributes:
        deployed = types.get(attribute.name, attribute.type)
        if deployed != attribute.type:
            yield f"the key attribute {attribute.name} has the type {deployed}, not {attribute.type}"


def _of_indexes(table: Table, description: Description) -> Iterator[str]:
    deployed = index_descriptions(description)
    for index in table.indexes:
        if index.name in deployed:
            yield from _of_index(index, deployed[index.name], description.get(_SCOPES[index.scope], ()))
        else:
            yield f"the index {index.name} is missing"
    known = {index.name for index in table.indexes}
    yield from (f"the index {name} is not in the schema" for name in deployed if name not in known)


def _of_index(index: Index, deployed: Description, of_scope: Sequence[Description]) -> Iterator[str]:
    what = f"the index {index.name}"
    if deployed not in of_scope:
        yield f"{what} is not {index.scope}"
    yield from _of_keys(what, index, deployed)
    projection = deployed.get("Projection", {}).get("ProjectionType")
    if projection != "ALL":
        yield f"{what} projects {projection}, not ALL attributes"
    # A local index has no status of its own.
    status = deployed.get("IndexStatus", "ACTIVE")
    if status != "ACTIVE":
        yield f"{what} is {status}, not ACTIVE"


def _of_keys(what: str, keyed: Table | Index, description: Description) -> Iterator[str]:
    expected = [name for name in (keyed.partition_key, keyed.sort_key) if name is not None]
    deployed = keys(description)
    if deployed != expected:
        yield f"{what} has the keys {', '.join(deployed)}, not {', '.join(expected)}"
