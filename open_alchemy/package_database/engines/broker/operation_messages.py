"""Translates operations and their results to messages and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...core import operations as core
from ...core.secret import Secret
from ...exceptions import RefusedError
from . import messages

_PLAIN: Final = frozenset({str, int})
_PYTHON_TYPES: Final = {"S": str, "N": int, "B": bytes}


def to_message(operation: core.StoreOperation) -> messages.Operation:
    """Returns the message of an operation."""
    match operation:
        case core.Get(table, key):
            return messages.Get(table.name, key[table.partition_key], key[table.sort_key])
        case core.Query(table, partition, prefix, index, attributes, limit, after, is_descending):
            name = None if index is None else index.name
            position = _to_key(after)
            return messages.Query(table.name, partition, prefix, name, attributes, limit, position, is_descending)
        case core.Scan(table, limit, after, partition):
            return messages.Scan(table.name, limit, _to_key(after), partition)
        case core.Transact(actions, token, _, is_final):
            return messages.Transact(token, tuple(map(_to_action, actions)), is_final)


def to_answer(operation: core.StoreOperation, result: Any, after: core.Key | None = None) -> messages.AnswerBody:
    """Returns the message of the result of an operation.

    Args:
        operation: The operation.
        result: Its result.
        after: For a query: the position of the next page.
    """
    match operation:
        case core.Get():
            return to_found(result)
        case core.Query():
            return messages.Items([to_item(item) for item in result], _to_key(after))
        case core.Scan():
            return messages.Items([to_item(item) for item in result.items], _to_key(result.after))
        case core.Transact():
            failures = (
                messages.Failure(action, None if item is None else to_item(item)) for action, item in result.items()
            )
            return messages.Executed(tuple(failures))


def to_found(item: core.Item | None) -> messages.Found:
    """Returns the message of the result of ``Get``."""
    return messages.Found(None if item is None else to_item(item))


def to_item(item: core.Item) -> messages.Item:
    """Returns the message of an item."""
    values: Any = item if type(item) is dict else dict(item)
    if _PLAIN.issuperset(map(type, values.values())):
        return messages.Item(values)
    return messages.Item(
        {name: value for name, value in values.items() if not isinstance(value, bytes)},
        {name: value for name, value in values.items() if isinstance(value, bytes)},
    )


def from_item(item: messages.Item) -> core.Item:
    """Returns an item, with its binary values as ``Secret``."""
    if not item.secrets:
        return item.values
    return item.values | {name: Secret(value) for name, value in item.secrets.items()}


def from_failures(executed: messages.Executed) -> core.Failures:
    """Returns the failed conditions of a transaction."""
    return {failure.action: from_optional(failure.item) for failure in executed.failures}


def from_optional(item: messages.Item | None) -> core.Item | None:
    """Returns an item, if there is one."""
    return None if item is None else from_item(item)


class Schema:
    """Translates messages to operations on some tables.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Sequence[core.Table]) -> None:
        self.tables: Mapping[str, core.Table] = {table.name: table for table in tables}
        self._types = {table.name: {a.name: _PYTHON_TYPES[a.type] for a in table.attributes} for table in tables}

    def table(self, name: str) -> core.Table:
        """Returns a table.

        Raises:
            RefusedError: There is none with this name.
        """
        table = self.tables.get(name)
        if table is None:
            raise _refusal("the table is unknown")
        return table

    def to_operation(self, message: messages.Operation) -> core.StoreOperation:
        """Returns the operation of a message.

        Raises:
            RefusedError: It names an unknown table, index or attribute, or a value has another type than its attribute.
        """
        if isinstance(message, messages.Get):
            return self.to_get(message)
        table = self.table(message.table) if not isinstance(message, messages.Transact) else None
        match message:
            case messages.Query() if table:
                return self._to_query(table, message)
            case messages.Scan(limit=limit, after=after, partition=partition) if table:
                _check_position(after, {table.partition_key, table.sort_key})
                return core.Scan(table, limit, after, partition)
            case messages.Transact(token, actions, is_final):
                return core.Transact(tuple(map(self._to_core_action, actions)), token, True, is_final)  # noqa: FBT003
        raise AssertionError

    def to_get(self, message: messages.Get) -> core.Get:
        """Returns the operation of a message; raises what ``to_operation`` does."""
        table = self.table(message.table)
        return core.Get(table, _key(table, message.partition, message.sort))

    def _to_query(self, table: core.Table, message: messages.Query) -> core.Query:
        index = None
        keys = {table.partition_key, table.sort_key}
        if message.index is not None:
            index = next((index for index in table.indexes if index.name == message.index), None)
            if index is None:
                raise _refusal("the index is unknown")
            keys |= {index.partition_key} | ({index.sort_key} if index.sort_key else set())
        _check_position(message.after, keys)
        if message.attributes is not None:
            self._check_attributes(table, message.attributes)
        return core.Query(
            table,
            message.partition,
            message.prefix,
            index,
            message.attributes,
            message.limit,
            message.after,
            message.is_descending,
        )

    def _to_core_action(self, action: messages.Action) -> core.Action:
        table = self.table(action.table)
        condition = None if action.condition is None else self._to_core_condition(table, action.condition)
        match action:
            case messages.Put(item=item):
                return core.Put(table, self._to_core_item(table, item), condition)
            case messages.Delete(partition=partition, sort=sort):
                return core.Delete(table, _key(table, partition, sort), condition)
            case messages.Check(partition=partition, sort=sort):
                assert condition is not None
                return core.Check(table, _key(table, partition, sort), condition)

    def _to_core_item(self, table: core.Table, message: messages.Item) -> core.Item:
        item = from_item(message)
        types = self._types[table.name]
        for name, value in item.items():
            if not isinstance(value, types.get(name, str | int | bytes)):
                raise _refusal("a value has another type than its attribute")
        if not item.get(table.partition_key) or not item.get(table.sort_key):
            raise _refusal("an item lacks a key")
        return item

    def _to_core_condition(self, table: core.Table, condition: messages.Condition) -> core.Condition:
        match condition:
            case messages.AllOf(conditions):
                return core.AllOf(tuple(self._to_core_condition(table, part) for part in conditions))
            case messages.AnyOf(conditions):
                return core.AnyOf(tuple(self._to_core_condition(table, part) for part in conditions))
        self._check_attributes(table, (condition.attribute,))
        match condition:
            case messages.Missing(attribute):
                return core.Missing(attribute)
            case messages.Equal(attribute, value):
                return core.Equal(attribute, value)
            case messages.EqualBinary(attribute, binary):
                return core.Equal(attribute, Secret(binary))
            case messages.Below(attribute, digits) | messages.AtLeast(attribute, digits):
                compare = core.Below if isinstance(condition, messages.Below) else core.AtLeast
                return compare(attribute, digits)

    def _check_attributes(self, table: core.Table, names: Sequence[str]) -> None:
        if not self._types[table.name].keys() >= set(names):
            raise _refusal("the attribute is unknown")


def _to_key(key: core.Key | None) -> dict[str, str] | None:
    return None if key is None else dict(key)


def _to_action(action: core.Action) -> messages.Action:
    table = action.table
    condition = None if action.condition is None else _to_condition(action.condition)
    match action:
        case core.Put(item=item):
            return messages.Put(table.name, to_item(item), condition)
        case core.Delete(key=key):
            return messages.Delete(table.name, key[table.partition_key], key[table.sort_key], condition)
        case core.Check(key=key):
            assert condition is not None
            return messages.Check(table.name, key[table.partition_key], key[table.sort_key], condition)


def _to_condition(condition: core.Condition) -> messages.Condition:
    match condition:
        case core.Missing(attribute):
            return messages.Missing(attribute)
        case core.Equal(attribute, value):
            if isinstance(value, bytes):
                return messages.EqualBinary(attribute, value)
            return messages.Equal(attribute, value)
        case core.Below(attribute, digits) | core.AtLeast(attribute, digits):
            compare = messages.Below if isinstance(condition, core.Below) else messages.AtLeast
            return compare(attribute, digits)
        case core.AllOf(conditions):
            return messages.AllOf(tuple(map(_to_condition, conditions)))
        case core.AnyOf(conditions):
            return messages.AnyOf(tuple(map(_to_condition, conditions)))


def _key(table: core.Table, partition: str, sort: str) -> core.Key:
    return {table.partition_key: partition, table.sort_key: sort}


def _check_position(after: Mapping[str, str] | None, keys: set[str]) -> None:
    if after is not None and after.keys() != keys:
        raise _refusal("the position of the next page has other keys than the table or the index")


def _refusal(problem: str) -> RefusedError:
    return RefusedError(f"the broker refused a request: {problem}", code="Malformed")
