"""Between the vocabulary's values and DynamoDB's typed attribute values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ...operations import Item, Value
from ...secret import Secret

AttributeValue: TypeAlias = Mapping[str, Any]


def encode(value: Value) -> AttributeValue:
    """Returns a value as DynamoDB's attribute value."""
    match value:
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case _:
            return {"B": value}


def encode_item(item: Item) -> dict[str, AttributeValue]:
    """Returns an item, or a key, as DynamoDB's."""
    return {name: encode(value) for name, value in item.items()}


def decode_item(item: Mapping[str, AttributeValue]) -> Item:
    """Returns DynamoDB's item; attributes of types that no table of ours has are left out."""
    decoded: dict[str, Value] = {}
    # The types in the order of how often they come: a list decodes ten thousands of values.
    for name, typed in item.items():
        if (value := typed.get("S")) is not None:
            decoded[name] = value
        elif (value := typed.get("N")) is not None:
            decoded[name] = int(value)
        elif isinstance(value := typed.get("B"), Secret):
            decoded[name] = value
    return decoded
