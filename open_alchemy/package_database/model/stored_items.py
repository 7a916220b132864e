"""What an item of a table must be, so that it is read as it was meant: for items that come from elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from ..core.operations import Item, Key, Table, Value
from ..exceptions import RefusedError, ValidationError
from .schema import LATEST, SPECS, padded, record_keys
from .validation import RULES, SECONDS_DIGITS, check, check_item_size, spec_id

_TYPES: Final[dict[str, tuple[type, str]]] = {"S": (str, "text"), "N": (int, "a number"), "B": (bytes, "bytes")}
_ARGUMENTS: Final = {"id": "id_"}
"""Arguments that have another name than their attribute."""
_MAX_NUMBER: Final = 10**38
"""DynamoDB keeps 38 digits (AWS, Constraints)."""
_SECONDS: Final = re.compile(rf"0|[1-9][0-9]{{0,{SECONDS_DIGITS - 2}}}")
"""One digit less than a key has room for: a version that is published later is at least a second newer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An item and the table that it is of."""

    table: Table
    item: Item

    @property
    def key(self) -> Key:
        """The primary key of the item."""
        return self.table.key_of(self.item)


def check_item(table: Table, item: Item) -> None:
    """Checks that an item is one of a table: its attributes there and of their types, its keys what they must be.

    Attributes that the schema does not know are let be.

    Raises:
        ValidationError: It is not; the message names the attribute and shows no secret.
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
    check({name: value for name, value in arguments.items() if name in RULES})
    if table is SPECS:
        _check_record(item)
    check_item_size(item, copies=1 + sum(index.scope == "local" for index in table.indexes))


def check_stored(entry: Entry) -> None:
    """Checks an item that a store holds, as ``check_item``.

    Raises:
        RefusedError: It is not as it must be; the message names its key.
    """
    try:
        check_item(entry.table, entry.item)
    except ValidationError as error:
        key = ", ".join(f"{name} {value!r}" for name, value in entry.key.items())
        raise RefusedError(f"the item of {entry.table.name} with {key} is not as it must be: {error}") from error


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
    """Checks that the keys of a spec's record say what its attributes say."""
    id_, updated_at = str(item["id"]), str(item["updated_at"])
    if not _SECONDS.fullmatch(updated_at):
        raise ValidationError(
            f"updated_at must be whole seconds, of at most {SECONDS_DIGITS - 1} digits and without zeros in front"
        )
    if id_ != spec_id(str(item["name"])):
        raise ValidationError("id must be the canonical form of name (PEP 503)")
    keys = {name: item[name] for name in ("updated_at_id", "id_updated_at")}
    if keys not in (record_keys(padded(updated_at), id_), record_keys(LATEST, id_)):
        raise ValidationError("updated_at_id and id_updated_at must be made of updated_at, or latest, and id")
