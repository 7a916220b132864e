"""Bounds the memory and the time per request of moto's DynamoDB.

moto keeps every model instance for its dashboard, copies each table of a transaction once per action, sorts the whole
table for each page of a scan, and looks up eleven members for each attribute of a response. ``apply`` replaces these
four methods. It also disables full garbage collections, whose pause grows with the number of items. Both are only for a
process that serves nothing but DynamoDB, one request at a time.
"""

from __future__ import annotations

import base64
import copy
import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial, wraps
from importlib import import_module
from typing import Any, TypeAlias

Transact: TypeAlias = Callable[[Any, list[dict[str, Any]]], None]
Serialize: TypeAlias = Callable[[Any, dict[str, Any], Any, Any, str], None]
Scan: TypeAlias = Callable[..., tuple[list[Any], int, dict[str, Any] | None]]
Replacement: TypeAlias = tuple[Any, str, Callable[..., Any]]

_NEVER = 1_000_000_000


def apply() -> None:
    """Replaces the methods in this process, and disables full garbage collections."""
    youngest, middle, _ = gc.get_threshold()
    gc.set_threshold(youngest, middle, _NEVER)
    for owner, name, function in replacements():
        setattr(owner, name, function)


def replacements() -> Iterator[Replacement]:
    """Yields class, method name and replacement of each method that the installed version of moto defines."""
    for module, class_name, method, replace in (
        ("moto.core.common_models", "BaseModel", "__new__", _without_tracking),
        ("moto.dynamodb.models", "DynamoDBBackend", "transact_write_items", _with_undo_log),
        ("moto.dynamodb.models.table", "Table", "scan", _of_later_partitions),
        ("moto.core.serialize", "BaseJSONSerializer", "_serialize_type_structure", _with_plain_attributes),
    ):
        with suppress(ImportError, AttributeError):
            owner = getattr(import_module(module), class_name)
            yield owner, method, replace(getattr(owner, method))


def _without_tracking(_new: Callable[..., object]) -> Callable[..., object]:
    return lambda cls, *_args, **_kwargs: object.__new__(cls)


def _with_undo_log(transact: Transact) -> Transact:
    """Returns a method that restores only the items of a failed transaction, instead of its whole tables.

    It does not restore the records of a stream; the tables of this package have no streams.
    """
    from moto.dynamodb.models.table import Table

    table_class: Any = Table

    @wraps(transact)
    def transact_write_items(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        undo_log = list(_undo_log(backend.tables, transact_items))
        table_class.__deepcopy__ = lambda table, _memo: table
        try:
            transact(backend, transact_items)
        except Exception:
            for undo in undo_log:
                undo()
            raise
        finally:
            del table_class.__deepcopy__

    return transact_write_items


def _undo_log(tables: dict[str, Any], transact_items: list[dict[str, Any]]) -> Iterator[Callable[[], None]]:
    from moto.dynamodb.models.dynamo_type import DynamoType

    for action in transact_items:
        for request in action.values():
            table = tables.get(request.get("TableName"))
            key = request.get("Item") or request.get("Key") or {}
            if table is None or not {*table.table_key_attrs} <= key.keys():
                continue  # moto refuses the action before it changes anything
            values = [DynamoType(key[name]) for name in table.table_key_attrs]
            partition, name = (table.items[values[0]], values[1]) if table.has_range_key else (table.items, values[0])
            yield partial(_restore, partition, name, copy.deepcopy(partition.get(name)))


def _restore(partition: dict[Any, Any], key: object, item: object | None) -> None:
    if item is None:
        partition.pop(key, None)
    else:
        partition[key] = item


def _of_later_partitions(scan: Scan) -> Scan:
    """Returns a method that sorts only the partitions which it reads."""

    @wraps(scan)
    def scan_later_partitions(
        table: Any,
        filters: Any,
        limit: int,
        exclusive_start_key: dict[str, Any] | None,
        *arguments: Any,
        **options: Any,
    ) -> tuple[list[Any], int, dict[str, Any] | None]:
        table.all_items = partial(_later_items, table, exclusive_start_key)
        try:
            return scan(table, filters, limit, exclusive_start_key, *arguments, **options)
        finally:
            del table.all_items

    return scan_later_partitions


def _later_items(table: Any, start: dict[str, Any] | None) -> Iterator[Any]:
    """Yields the items of a table in moto's order, beginning with the partition of a key."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    values = {key.cast_value: key for key in table.items}
    first = DynamoType(start[table.hash_key_attr]).cast_value if start else None
    for value in sorted(value for value in values if first is None or value >= first):
        found = table.items[values[value]]
        yield from sorted(found.values(), key=_range_value) if table.has_range_key else (found,)


def _range_value(item: Any) -> Any:
    return item.range_key.cast_value


def _with_plain_attributes(serialize: Serialize) -> Serialize:
    """Returns a serializer that looks up no members of strings, numbers and binary values.

    moto stores strings and numbers in the format of a response, and binary values decoded.
    """

    @wraps(serialize)
    def serialize_type_structure(serializer: Any, serialized: dict[str, Any], value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue" or not isinstance(value, dict):
            serialize(serializer, serialized, value, shape, key)
        elif value.keys() <= {"S", "N"}:
            serialized[key] = value
        elif value.keys() == {"B"} and isinstance(value["B"], bytes):
            serialized[key] = {"B": base64.b64encode(value["B"]).decode()}
        else:
            serialize(serializer, serialized, value, shape, key)

    return serialize_type_structure
