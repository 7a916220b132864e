"""The format of an export: a header line and a line for each item, as in ``docs/export.md``. Does no I/O."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..core.operations import Item, Value
from ..core.secret import Secret
from ..exceptions import ValidationError
from ..model.export_checks import Entry, check_item
from ..model.schema import SCHEMA_VERSION, TABLES

FORMAT: Final = "open-alchemy.package-database export"
MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""Exceeds the line of an item of 400 KB in which JSON escapes every character."""

_TABLES: Final = {table.name: table for table in TABLES}


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of an export.

    Attributes:
        sub: The user of the items; None for all users.
        items: The number of items, one per line.
        sha256: The SHA-256 of all following bytes, in hexadecimal digits.
        schema_version: The version of the schema of the items.
        format: Identifies the file format.
    """

    sub: str | None
    items: int
    sha256: str
    schema_version: int = SCHEMA_VERSION
    format: str = FORMAT


def encode_header(header: Header) -> bytes:
    """Returns a header as a line."""
    fields = asdict(header)
    return _encode({name: fields[name] for name in ("format", "schema_version", "sub", "items", "sha256")})


def decode_header(line: bytes) -> Header:
    """Returns the header in a line.

    Raises:
        ValidationError: It is not a header, or has another schema version.
    """
    try:
        content = _decode(line)
    except ValidationError:
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValidationError("it is not an export of the package database")
    version = content.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        advice = ": use a newer package" if isinstance(version, int) and version > SCHEMA_VERSION else ""
        raise ValidationError(f"it has the schema version {version!r}, and this package reads {SCHEMA_VERSION}{advice}")
    match content:
        case {"sub": (str() | None) as sub, "items": int(items), "sha256": str(sha256)}:
            return Header(sub, items, sha256)
        case _:
            raise ValidationError("its header is damaged")


def encode_title(sub: str | None, identity: str | None) -> bytes:
    """Returns the first line of ``FILE.part``, which identifies an unfinished export.

    Args:
        sub: The user; None for all users.
        identity: Identifies the tables; None if they cannot be identified.
    """
    return _encode({"format": f"{FORMAT}, part", "schema_version": SCHEMA_VERSION, "sub": sub, "tables": identity})


def encode_entry(entry: Entry) -> bytes:
    """Returns an item as a line."""
    item = {name: _encode_value(value) for name, value in entry.item.items()}
    return _encode({"table": entry.table.name, "item": item})


def decode_entry(line: bytes, sub: str | None = None) -> Entry:
    """Returns the item in a line, checked, with binary values as ``Secret``.

    Args:
        line: The line with its line end.
        sub: The user of the item; None for any.

    Raises:
        ValidationError: It is not an item of a table; the message contains no secret.
    """
    match _decode(line):
        case {"table": str(name), "item": dict(item), **unknown} if name in _TABLES and not unknown:
            entry = Entry(_TABLES[name], _check_values(item))
        case _:
            raise ValidationError("it is not an item of a table")
    check_item(entry.table, entry.item)
    if sub is not None and entry.item["sub"] != sub:
        raise ValidationError("its sub is not that of the header")
    return entry


def _encode(content: Mapping[str, Any]) -> Secret:
    return Secret(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def _decode(line: bytes) -> object:
    if not line.endswith(b"\n"):
        raise ValidationError(f"it has no line end, or is longer than {MAX_LINE_BYTES} bytes")
    try:
        return json.loads(line, object_hook=_to_secret)
    except (ValueError, RecursionError):
        # The exception of json contains the line.
        raise ValidationError("it is not JSON in UTF-8") from None


def _to_secret(content: dict[str, Any]) -> object:
    """Decodes a JSON object with base64 to a ``Secret``, so that no local variable of a traceback has the text."""
    if content.keys() != {"base64"}:
        return content
    try:
        return Secret(base64.b64decode(content["base64"], validate=True))
    except (ValueError, TypeError):
        return None


def _encode_value(value: Value) -> object:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _check_values(item: Mapping[str, object]) -> Item:
    checked: dict[str, Value] = {}
    for name, value in item.items():
        if isinstance(value, bool) or not isinstance(value, str | int | Secret):
            raise ValidationError(f"{name!a} must be text, a whole number or base64")
        checked[name] = value
    return checked
