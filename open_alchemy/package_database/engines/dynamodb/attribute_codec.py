"""Between the vocabulary's values and DynamoDB's typed attribute values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ...core.operations import Item, Table, Value
from ...core.secret import Secret
from ...exceptions import RefusedError

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


def decode_whole(table: Table, item: Mapping[str, AttributeValue]) -> Item:
    """Returns DynamoDB's item with all its attributes.

    Raises:
        RefusedError: An attribute has a type, or a number, that no table of ours has; the message names the item.
    """
    lost = [name for name, typed in item.items() if not _is_value(typed)]
    if lost:
        key = ", ".join(f"{name} {item[name]['S']!r}" for name in (table.partition_key, table.sort_key))
        raise RefusedError(
            f"the item of {table.name} with {key} cannot be read whole: its attributes {', '.join(sorted(lost))} are "
            "neither text nor whole numbers nor bytes"
        )
    return decode_item(item)


def _is_value(typed: AttributeValue) -> bool:
    match typed:
        case {"S": str()} | {"B": Secret()}:
            return True
        case {"N": str(digits)}:
            return digits.removeprefix("-").isdecimal()
        case _:
            return False
