"""Creating, describing, emptying and deleting tables: for tests, development and operators."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from ...core.deadline import Deadline
from ...core.operations import MAX_TRANSACT_ACTIONS, Delete, Index, Table, Transact
from ...exceptions import RefusedError, UnavailableError
from ..port import KeyInfo, TableInfo
from .attribute_codec import decode_items
from .engine import DynamoDBEngine
from .execution import Decoding, next_page_key
from .requests import Request
from .table_differences import index_descriptions, keys, production_differences, schema_differences

_DEADLINE: Final = 60.0
"""Seconds for one table: AWS takes up to half a minute to create one."""
_POLL: Final = 0.5
_NO_TABLE: Final = "ResourceNotFoundException"
_IN_USE: Final = "ResourceInUseException"


def create_table(table: Table) -> Request:
    """Returns the request of CreateTable, with on-demand billing."""
    indexed = {table.partition_key, table.sort_key}
    for index in table.indexes:
        indexed |= set(_key_names(index))
    request: Request = {
        "TableName": table.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": attribute.name, "AttributeType": attribute.type}
            for attribute in table.attributes
            if attribute.name in indexed
        ],
        "KeySchema": _key_schema(table),
    }
    for scope, parameter in (("local", "LocalSecondaryIndexes"), ("global", "GlobalSecondaryIndexes")):
        indexes = [
            {"IndexName": index.name, "KeySchema": _key_schema(index), "Projection": {"ProjectionType": "ALL"}}
            for index in table.indexes
            if index.scope == scope
        ]
        if indexes:
            request[parameter] = indexes
    return request


class DynamoDBAdministration:
    """The tables of one DynamoDB. Its methods raise what the engine raises."""

    def __init__(self, engine: DynamoDBEngine) -> None:
        self._engine = engine

    def create(self, table: Table) -> None:
        """Creates a table and waits until it can be used.

        Raises:
            RefusedError: The table is there already, or the credentials do not allow it.
        """
        deadline = Deadline(_DEADLINE)
        try:
            self._engine.ask("CreateTable", create_table(table), table.name, deadline)
        except RefusedError as error:
            # An attempt whose response was lost may have created it.
            if error.code != _IN_USE or error.attempts == 1:
                raise
        while (self._describe(table, deadline) or {}).get("TableStatus") != "ACTIVE":
            self._wait(table, "active", deadline)

    def delete(self, table: Table) -> bool:
        """Deletes a table with all that is in it, waits until it is gone, and returns whether it was there."""
        deadline = Deadline(_DEADLINE)
        if self._describe(table, deadline) is None:
            return False
        try:
            self._engine.ask("DeleteTable", {"TableName": table.name}, table.name, deadline)
        except RefusedError as error:
            # An attempt whose response was lost has deleted it.
            if error.code != _NO_TABLE:
                raise
        while self._describe(table, deadline) is not None:
            self._wait(table, "gone", deadline)
        return True

    def describe(self, table: Table) -> TableInfo | None:
        """Returns a table as it exists, or None if it does not exist."""
        deadline = Deadline(_DEADLINE)
        description = self._describe(table, deadline)
        with Decoding(f"DescribeTable on {table.name}", deadline):
            return None if description is None else _table_info(description)

    def differences(self, table: Table) -> list[str]:
        """Returns how a table differs from the schema, in sentences; empty if it does not.

        On AWS a table must also have the settings that protect production data.
        """
        deadline = Deadline(_DEADLINE)
        description = self._describe(table, deadline)
        with Decoding(f"DescribeTable on {table.name}", deadline):
            found = schema_differences(table, description)
        if description is not None and self._engine.config.stage == "PROD":
            backups = self._ask("DescribeContinuousBackups", table, deadline)
            expiry = self._ask("DescribeTimeToLive", table, deadline)
            with Decoding(f"the descriptions of {table.name}", deadline):
                found += production_differences(
                    description, backups["ContinuousBackupsDescription"], expiry["TimeToLiveDescription"]
                )
        return found

    def _ask(self, action: str, table: Table, deadline: Deadline) -> Mapping[str, Any]:
        request: Request = {"TableName": table.name}
        return self._engine.ask(action, request, table.name, deadline)

    def clear(self, table: Table) -> None:
        """Deletes every item of a table. Only for tests: items that are written during the call may stay."""
        deadline = Deadline(_DEADLINE, renewable=True)
        request: Request = {
            "TableName": table.name,
            "ConsistentRead": True,
            "ProjectionExpression": "#partition, #sort",
            "ExpressionAttributeNames": {"#partition": table.partition_key, "#sort": table.sort_key},
        }
        starts: set[object] = set()
        while True:
            page = self._engine.ask("Scan", request, table.name, deadline)
            with Decoding(f"Scan on {table.name}", deadline):
                deletes = [Delete(table, table.key_of(item)) for item in decode_items(page["Items"])]
                last = next_page_key(page, starts)
            # A page has at most 1 MB (AWS, Scan), so its items fit into transactions of any number.
            for start in range(0, len(deletes), MAX_TRANSACT_ACTIONS):
                self._engine.execute(Transact(tuple(deletes[start : start + MAX_TRANSACT_ACTIONS])), deadline)
                deadline.progress()
            if last is None:
                return
            request = {**request, "ExclusiveStartKey": last}

    def _describe(self, table: Table, deadline: Deadline) -> Mapping[str, Any] | None:
        try:
            response = self._ask("DescribeTable", table, deadline)
        except RefusedError as error:
            if error.code == _NO_TABLE:
                return None
            raise
        with Decoding(f"DescribeTable on {table.name}", deadline):
            description: Mapping[str, Any] = response["Table"]
        return description

    def _wait(self, table: Table, state: str, deadline: Deadline) -> None:
        if not deadline.allows(_POLL):
            raise UnavailableError(f"{table.name} was not {state} after {deadline.elapsed():.0f} s")
        time.sleep(_POLL)


def _table_info(description: Mapping[str, Any]) -> TableInfo:
    return TableInfo(
        keys=_key_info(description["TableName"], description),
        status=description["TableStatus"],
        indexes=tuple(_key_info(name, index) for name, index in index_descriptions(description).items()),
        items=description.get("ItemCount", 0),
        size=description.get("TableSizeBytes", 0),
        identity={name: str(description[name]) for name in ("TableArn", "TableId") if name in description},
    )


def _key_info(name: str, description: Mapping[str, Any]) -> KeyInfo:
    partition_key, *sort_keys = keys(description)
    return KeyInfo(name, partition_key, sort_keys[0] if sort_keys else None)


def _key_names(keyed: Table | Index) -> list[str]:
    return [name for name in (keyed.partition_key, keyed.sort_key) if name is not None]


def _key_schema(keyed: Table | Index) -> list[dict[str, str]]:
    types = ("HASH", "RANGE")
    return [{"AttributeName": name, "KeyType": type_} for name, type_ in zip(_key_names(keyed), types, strict=False)]
