"""Encodes and decodes DynamoDB's typed attribute values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from ...core.operations import Item, Table, Value
from ...core.secret import Secret
from ...exceptions import RefusedError

AttributeValue: TypeAlias = Mapping[str, Any]

_WHOLE: Final = re.compile(r"-?[0-9]{1,38}")
"""DynamoDB stores up to 38 digits (AWS, Constraints)."""


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
    """Returns DynamoDB's item. A value of a type that no table has, such as ``{"N": "1.5"}``, is not decoded.

    The model refuses it if it is an attribute of the schema, and ignores it otherwise.
    """
    decoded: dict[str, Any] = {}
    # The types in the order of their frequency: a list has tens of thousands of values.
    for name, typed in item.items():
        if (value := typed.get("S")) is not None:
            decoded[name] = value
        elif (value := typed.get("N")) is not None:
            decoded[name] = int(value) if _WHOLE.fullmatch(value) else typed
        elif isinstance(value := typed.get("B"), Secret):
            decoded[name] = value
        else:
            decoded[name] = typed
    return decoded


def decode_whole(table: Table, item: Mapping[str, AttributeValue]) -> Item:
    """Returns DynamoDB's item with all its attributes.

    Raises:
        RefusedError: An attribute has a type, or a number, that no table has. The message names the item.
    """
    decoded: Mapping[str, Any] = decode_item(item)
    unreadable = sorted(name for name, value in decoded.items() if not isinstance(value, str | int | bytes))
    if unreadable:
        key = ", ".join(f"{name} {decoded.get(name)!r}" for name in (table.partition_key, table.sort_key))
        raise RefusedError(
            f"the item of {table.name} with {key} cannot be read: its attributes {', '.join(unreadable)} are neither "
            "text nor whole numbers nor bytes"
        )
    return decoded
