"""Validates items of exports, and stored items that other programs may have changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from ..core.operations import Item, Key, Table, Value
from ..exceptions import RefusedError, ValidationError
from .keys import LATEST, SECONDS_DIGITS, padded, record_keys, spec_id
from .schema import RAW, SPECS
from .validation import RULES, check, check_item_size

_TYPES: Final[dict[str, tuple[type, str]]] = {"S": (str, "text"), "N": (int, "a number"), "B": (bytes, "bytes")}
_UNCHECKED: Final = frozenset({"version"})
"""Attributes without the rule of their argument: version 4 stored empty versions."""
_ARGUMENTS: Final = {"id": "id_"}
"""The arguments whose name differs from that of their attribute."""
_MAX_NUMBER: Final = 10**38
"""DynamoDB's numbers have 38 digits (AWS, Constraints)."""
_SECONDS: Final = re.compile(rf"0|[1-9][0-9]{{0,{SECONDS_DIGITS - 2}}}")
"""One digit less than a key can hold, because the time of later versions is larger."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An item and its table."""

    table: Table
    item: Item

    @property
    def key(self) -> Key:
        """The primary key of the item."""
        return self.table.key_of(self.item)


def check_item(table: Table, item: Item) -> None:
    """Validates the attributes, their types and the keys of an item. Unknown attributes are allowed.

    Raises:
        ValidationError: The item is invalid; the message names the attribute and contains no secret.
    """
    for attribute in table.attributes:
        type_, name = _TYPES[attribute.type]
        if attribute.name not in item:
            if not attribute.is_optional:
                raise ValidationError(f"{attribute.name} is missing")
        elif not isinstance(item[attribute.name], type_):
            raise ValidationError(f"{attribute.name} must be {name}")
    _check_values(item)
    arguments: dict[str, Any] = {_ARGUMENTS.get(name, name): item[name] for name in _known(table, item)}
    check({name: value for name, value in arguments.items() if name in RULES.keys() - _UNCHECKED})
    if table is SPECS:
        _check_record(item)
    elif item.get("encoding", RAW) != RAW:
        raise ValidationError(f"encoding must be {RAW}, the only encoding that this version of the package supports")
    check_item_size(item, copies=1 + sum(index.scope == "local" for index in table.indexes))


def check_stored(entry: Entry) -> None:
    """Validates an item that was read from a store, as ``check_item`` does.

    Raises:
        RefusedError: The item is invalid; the message names its key.
    """
    try:
        check_item(entry.table, entry.item)
    except ValidationError as error:
        key = ", ".join(f"{name} {value!r}" for name, value in entry.key.items())
        raise RefusedError(f"the item of {entry.table.name} with {key} is invalid: {error}") from error


def _known(table: Table, item: Item) -> list[str]:
    return [attribute.name for attribute in table.attributes if attribute.name in item]


def _check_values(item: Item) -> None:
    for name, value in item.items():
        if not (_is_unicode(name) and _is_unicode(value)):
            raise ValidationError(f"{name!a} must be valid Unicode, without lone surrogates")
        if isinstance(value, int) and abs(value) >= _MAX_NUMBER:
            raise ValidationError(f"{name} must have at most 38 digits")


def _is_unicode(value: Value) -> bool:
    try:
        return not isinstance(value, str) or value.encode() is not None
    except UnicodeEncodeError:
        return False


def _check_record(item: Item) -> None:
    """Validates the keys of a record of a spec against its other attributes."""
    id_, updated_at = str(item["id"]), str(item["updated_at"])
    if not _SECONDS.fullmatch(updated_at):
        raise ValidationError(
            f"updated_at must be whole seconds, of at most {SECONDS_DIGITS - 1} digits and without leading zeros"
        )
    if id_ != spec_id(str(item["name"])):
        raise ValidationError("id must be the canonical form of name (PEP 503)")
    keys = {name: item[name] for name in ("updated_at_id", "id_updated_at")}
    if keys not in (record_keys(padded(updated_at), id_), record_keys(LATEST, id_)):
        raise ValidationError("updated_at_id and id_updated_at must be made of updated_at, or latest, and id")
