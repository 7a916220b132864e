"""From an operation to DynamoDB's request. Pure: no token is drawn and nothing is sent here.

Every attribute name in an expression goes through ``ExpressionAttributeNames``: ``sub`` and ``name`` are among
DynamoDB's reserved words, which local servers do not mind but AWS does.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from ...core.operations import (
    Action,
    AllOf,
    AnyOf,
    Below,
    Condition,
    Delete,
    DeleteMany,
    Equal,
    Get,
    Key,
    Missing,
    Put,
    Query,
    Scan,
    Table,
    Transact,
    Value,
)
from .attribute_codec import encode, encode_item

Request: TypeAlias = dict[str, Any]

MAX_BATCH_KEYS: Final = 25
"""Requests in one batch (AWS, BatchWriteItem)."""


class _Expression:
    """The names and values of an expression as it is written."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Mapping[str, Any]] = {}

    def name(self, attribute: str) -> str:
        placeholder = f"#{attribute}"
        self.names[placeholder] = attribute
        return placeholder

    def value(self, value: Value) -> str:
        encoded = encode(value)
        for placeholder, known in self.values.items():
            if known == encoded:
                return placeholder
        placeholder = f":{len(self.values)}"
        self.values[placeholder] = encoded
        return placeholder

    def condition(self, condition: Condition) -> str:
        match condition:
            case Missing(attribute):
                return f"attribute_not_exists({self.name(attribute)})"
            case Equal(attribute, value):
                return f"{self.name(attribute)} = {self.value(value)}"
            case Below(attribute, digits):
                # Of two numbers without leading zeros, the one with fewer digits is smaller.
                name, value, size = self.name(attribute), self.value(digits), self.value(len(digits))
                return f"(size({name}) < {size} OR (size({name}) = {size} AND {name} < {value}))"
            case AllOf(conditions):
                return f"({' AND '.join(map(self.condition, conditions))})"
            case AnyOf(conditions):
                return f"({' OR '.join(map(self.condition, conditions))})"

    def attributes(self) -> Request:
        """Returns the parameters that explain the expression's placeholders."""
        request: Request = {"ExpressionAttributeNames": self.names}
        if self.values:
            request["ExpressionAttributeValues"] = self.values
        return request


def get_item(operation: Get) -> Request:
    """Returns the request of GetItem."""
    return {"TableName": operation.table.name, "Key": encode_item(operation.key), "ConsistentRead": True}


def query(operation: Query) -> Request:
    """Returns the request for the first page of Query."""
    table, index = operation.table, operation.index
    keys: Table | Any = index or table
    expression = _Expression()
    condition = f"{expression.name(keys.partition_key)} = {expression.value(operation.partition)}"
    if operation.prefix:
        condition += f" AND begins_with({expression.name(keys.sort_key)}, {expression.value(operation.prefix)})"
    request: Request = {"TableName": table.name, "KeyConditionExpression": condition}
    if index is not None:
        request["IndexName"] = index.name
    if index is None or index.scope == "local":
        request["ConsistentRead"] = True
    if operation.attributes is not None:
        request["ProjectionExpression"] = ", ".join(map(expression.name, operation.attributes))
    return request | expression.attributes()


def scan(operation: Scan) -> tuple[str, Request]:
    """Returns the action and the request of a page: of Scan, or of Query where it is of one partition."""
    request: Request = {"TableName": operation.table.name, "ConsistentRead": True, "Limit": operation.limit}
    if operation.after is not None:
        request["ExclusiveStartKey"] = encode_item(operation.after)
    if operation.partition is None:
        return "Scan", request
    expression = _Expression()
    partition = f"{expression.name(operation.table.partition_key)} = {expression.value(operation.partition)}"
    return "Query", {**request, "KeyConditionExpression": partition, **expression.attributes()}


def write(operation: Transact, token: str) -> tuple[str, Request]:
    """Returns the action and the request that carry out a transaction.

    One action without a condition may be repeated as it is, so it needs no transaction and no token.

    Args:
        operation: The transaction.
        token: Tells this transaction from all others, so that DynamoDB gives it one effect however often it arrives
            (within 10 minutes: AWS, TransactWriteItems, ClientRequestToken).
    """
    match operation.actions:
        case (Put(table, item, None),):
            return "PutItem", {"TableName": table.name, "Item": encode_item(item)}
        case (Delete(table, key, None),):
            return "DeleteItem", {"TableName": table.name, "Key": encode_item(key)}
        case actions:
            return "TransactWriteItems", {
                "TransactItems": [_transact_item(action) for action in actions],
                "ClientRequestToken": token,
            }


def delete_batch(table: Table, keys: Sequence[Key]) -> Request:
    """Returns the request of BatchWriteItem that deletes at most ``MAX_BATCH_KEYS`` items."""
    deletes = [{"DeleteRequest": {"Key": encode_item(key)}} for key in keys]
    return {"RequestItems": {table.name: deletes}}


def delete_batches(operation: DeleteMany) -> list[Request]:
    """Returns the requests of BatchWriteItem that delete all items."""
    keys = operation.keys
    starts = range(0, len(keys), MAX_BATCH_KEYS)
    return [delete_batch(operation.table, keys[start : start + MAX_BATCH_KEYS]) for start in starts]


def _transact_item(action: Action) -> Request:
    match action:
        case Put(table, item, condition):
            name, content = "Put", {"Item": encode_item(item)}
        case Delete(table, key, condition):
            name, content = "Delete", {"Key": encode_item(key)}
        case _:
            table, condition = action.table, action.condition
            name, content = "ConditionCheck", {"Key": encode_item(action.key)}
    request: Request = {"TableName": table.name, **content}
    if condition is not None:
        expression = _Expression()
        request["ConditionExpression"] = expression.condition(condition)
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        request |= expression.attributes()
    return {name: request}
