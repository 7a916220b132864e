"""The administration of the tables behind a broker, as requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core.operations import Table
from ..port import KeyInfo, TableInfo
from . import messages
from .client_protocol import unexpected


class BrokerAdministration:
    """The tables of the store behind a broker. Its methods raise what the engine raises.

    A broker creates, empties and deletes tables only if it was started with ``--allow-administration``.

    Args:
        ask: Sends a request, of which the second argument is a description, and returns the body of the answer.
    """

    def __init__(self, ask: Callable[[Any, str], Any]) -> None:
        self._send = ask

    def create(self, table: Table) -> None:
        """Creates a table."""
        self._ask("create", table)

    def delete(self, table: Table) -> bool:
        """Deletes a table, and returns whether it existed."""
        return self._ask("delete", table).existed

    def describe(self, table: Table) -> TableInfo | None:
        """Returns a table as it exists, or None if it does not exist."""
        info = self._ask("describe", table).info
        if info is None:
            return None
        indexes = tuple(map(_keys, info.indexes))
        return TableInfo(_keys(info.keys), info.status, indexes, info.items, info.size, info.identity)

    def differences(self, table: Table) -> list[str]:
        """Returns how a table differs from the schema, in sentences; empty if it does not."""
        return self._ask("differences", table).differences

    def clear(self, table: Table) -> None:
        """Deletes every item of a table."""
        self._ask("clear", table)

    def _ask(self, action: messages.TableAction, table: Table) -> messages.Administered:
        what = f"{action} of {table.name}"
        answer = self._send(messages.Administer(action, table.name), what)
        if not isinstance(answer, messages.Administered):
            raise unexpected(what)
        return answer


def _keys(keys: messages.Keys) -> KeyInfo:
    return KeyInfo(keys.name, keys.partition_key, keys.sort_key)
