"""Encodes and decodes DynamoDB's typed attribute values."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
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


def encode_binary(value: object) -> str:
    """Returns a binary value of a request as JSON has it; raises ``TypeError`` for any other type."""
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    raise TypeError(f"a request cannot contain {type(value).__name__}")


def decode_item(item: Mapping[str, AttributeValue]) -> Item:
    """Returns DynamoDB's item. A value of a type that no table has, such as ``{"N": "1.5"}``, is not decoded.

    The model refuses it if it is an attribute of the schema, and ignores it otherwise.
    """
    # A list has tens of thousands of values, and most of them are text.
    return {name: typed["S"] if "S" in typed else _decode(typed) for name, typed in item.items()}


# Few counts of models differ: to find one takes a fifth of the time to convert it.
@lru_cache(1024)
def decode_number(number: str) -> int:
    """Returns a whole number; raises ``ValueError`` for another number, and ``TypeError`` for another type."""
    if not _WHOLE.fullmatch(number):
        raise ValueError("not a whole number")
    return int(number)


def decode_items(items: Any) -> list[Item]:
    """Returns DynamoDB's items, which the HTTP client may have decoded.

    Raises:
        TypeError: They are not a list.
    """
    if isinstance(items, DecodedItems):
        return items
    if not isinstance(items, list):
        raise TypeError("Items is not a list")
    return [*map(decode_item, items)]


class DecodedItems(list[Item]):
    """Items whose attributes are decoded; all are text or whole numbers."""


def _decode(typed: AttributeValue) -> Any:
    number = typed.get("N")
    if number is not None:
        try:
            return decode_number(number)
        except ValueError:
            return typed
    binary = typed.get("B")
    return binary if isinstance(binary, Secret) else typed


def check_whole(table: Table, item: Mapping[str, Any]) -> Item:
    """Returns a decoded item if all its attributes are.

    Raises:
        RefusedError: An attribute has a type, or a number, that no table has. The message names the item.
    """
    unreadable = sorted(name for name, value in item.items() if not isinstance(value, str | int | bytes))
    if unreadable:
        key = ", ".join(f"{name} {item.get(name)!r}" for name in (table.partition_key, table.sort_key))
        raise RefusedError(
            f"the item of {table.name} with {key} cannot be read: its attributes {', '.join(unreadable)} are neither "
            "text nor whole numbers nor bytes"
        )
    return item
