"""Renders operations to DynamoDB's requests. Pure.

Every attribute name in an expression is a placeholder of ``ExpressionAttributeNames``: ``sub`` and ``name`` are
reserved words, which AWS refuses and local servers accept.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ...core.operations import (
    Action,
    AllOf,
    AnyOf,
    AtLeast,
    Below,
    Condition,
    Delete,
    Equal,
    Get,
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


class _Expression:
    """Collects the placeholders of an expression."""

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
            case AtLeast(attribute, digits):
                name, value, size = self.name(attribute), self.value(digits), self.value(len(digits))
                return f"(size({name}) > {size} OR (size({name}) = {size} AND {name} >= {value}))"
            case AllOf(conditions):
                return f"({' AND '.join(map(self.condition, conditions))})"
            case AnyOf(conditions):
                return f"({' OR '.join(map(self.condition, conditions))})"

    def attributes(self) -> Request:
        """Returns the request parameters that define the placeholders."""
        request: Request = {"ExpressionAttributeNames": self.names}
        if self.values:
            request["ExpressionAttributeValues"] = self.values
        return request


def get_item(operation: Get) -> Request:
    """Returns the request of GetItem."""
    return {"TableName": operation.table.name, "Key": encode_item(operation.key), "ConsistentRead": True}


def query(operation: Query) -> Request:
    """Returns the request for the first page of Query."""
    table, index = operation.table, operation.secondary_index
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
    if operation.limit is not None:
        request["Limit"] = operation.limit
    if operation.is_descending:
        request["ScanIndexForward"] = False
    if operation.after is not None:
        request["ExclusiveStartKey"] = encode_item(operation.after)
    return request | expression.attributes()


def scan(operation: Scan) -> tuple[str, Request]:
    """Returns the action and the request of a page: Scan, or Query for one partition."""
    request: Request = {"TableName": operation.table.name, "ConsistentRead": True, "Limit": operation.limit}
    if operation.after is not None:
        request["ExclusiveStartKey"] = encode_item(operation.after)
    if operation.partition is None:
        return "Scan", request
    expression = _Expression()
    partition = f"{expression.name(operation.table.partition_key)} = {expression.value(operation.partition)}"
    return "Query", {**request, "KeyConditionExpression": partition, **expression.attributes()}


def write(operation: Transact) -> Request:
    """Returns the request of TransactWriteItems.

    Single puts and deletes are transactions too: DynamoDB executes a transaction once per token, but PutItem,
    DeleteItem and BatchWriteItem as often, and as late, as they are delivered.
    """
    request: Request = {"TransactItems": [_transact_item(action) for action in operation.actions]}
    return request | {"ClientRequestToken": operation.token} if operation.token else request


def void(operation: Transact) -> Request:
    """Returns a request of TransactWriteItems that changes nothing and uses up the token of another one.

    DynamoDB then refuses the other request, if it is delivered later, with IdempotentParameterMismatchException.
    """
    action = operation.actions[0]
    table, key = action.table, action.table.key_of(action.item) if isinstance(action, Put) else action.key
    name = "#" + table.partition_key
    check = {
        "TableName": table.name,
        "Key": encode_item(key),
        "ConditionExpression": f"attribute_exists({name}) OR attribute_not_exists({name})",
        "ExpressionAttributeNames": {name: table.partition_key},
    }
    return {"TransactItems": [{"ConditionCheck": check}], "ClientRequestToken": operation.token}


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
