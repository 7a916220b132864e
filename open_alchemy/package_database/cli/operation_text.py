"""Describes operations as text for the tour and the documentation, without secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.operations import (
    Action,
    AllOf,
    AnyOf,
    AtLeast,
    Below,
    Check,
    Condition,
    Delete,
    Equal,
    Get,
    Key,
    Missing,
    Put,
    Query,
    Scan,
    StoreOperation,
    Table,
    Transact,
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """An operation as text.

    Attributes:
        operation: The name of the operation.
        target: The table or the index.
        parameters: The keys, prefixes, actions and conditions, one per line.
    """

    operation: str
    target: str
    parameters: tuple[str, ...]


def explain(operation: StoreOperation) -> Explanation:
    """Returns an operation as text."""
    match operation:
        case Get(table, key):
            return Explanation("Get", table.name, (_key(key),))
        case Query(table, partition, prefix, index, attributes, limit, after, is_descending):
            keys: Any = index or table
            begins = f", {keys.sort_key} begins with {prefix}" if prefix else ""
            target = f"{table.name}, index {index.name}" if index else table.name
            only = f", of which {', '.join(attributes)}" if attributes is not None else ""
            order = ", in descending order" if is_descending else ""
            asked = [f"{keys.partition_key} = {partition}{begins}{only}{order}", *_page(limit, after)]
            return Explanation("Query", target, tuple(asked))
        case Scan(table, limit, after, partition):
            of_partition = [] if partition is None else [f"{table.partition_key} = {partition}"]
            return Explanation("Scan", table.name, (*of_partition, *_page(limit, after)))
        case Transact(actions):
            tables = ", ".join(dict.fromkeys(action.table.name for action in actions))
            return Explanation("Transact", tables, tuple(map(_action, actions)))


def count_items(operation: StoreOperation, result: Any) -> int:
    """Returns the number of items that an operation read or wrote."""
    match operation:
        case Get():
            return int(result is not None)
        case Query():
            return len(result)
        case Scan():
            return len(result.items)
        case Transact(actions):
            return 0 if result else sum(not isinstance(action, Check) for action in actions)


def _page(limit: int | None, after: Key | None) -> list[str]:
    most = [] if limit is None else [f"at most {limit} items"]
    return most if after is None else [*most, f"after {_key(after)}"]


def _action(action: Action) -> str:
    match action:
        case Put():
            verb, key, condition = "put", action.table.key_of(action.item), action.condition
        case Delete():
            verb, key, condition = "delete", action.key, action.condition
        case _:
            verb, key, condition = "check", action.key, action.condition
    conditional = f" if {_condition(condition, action.table)}" if condition is not None else ""
    return f"{verb} {_key(key)}{conditional}"


def _key(key: Key) -> str:
    return ", ".join(f"{name} = {value}" for name, value in key.items())


def _condition(condition: Condition, table: Table) -> str:
    match condition:
        case Missing(attribute):
            return "absent" if attribute == table.partition_key else f"{attribute} is missing"
        case Equal(attribute, value):
            return f"{attribute} is {value!s}"
        case Below(attribute, digits):
            return f"{attribute} < {digits}"
        case AtLeast(attribute, digits):
            return f"{attribute} >= {digits}"
        case AllOf(conditions):
            parts = ((part, _condition(part, table)) for part in conditions)
            return " and ".join(f"({text})" if isinstance(part, AnyOf) else text for part, text in parts)
        case AnyOf(conditions):
            return ", or ".join(_condition(part, table) for part in conditions)
