"""The registry of the brokers that grant caching: one item of the table of specs, under a key that no spec has.

It needs no table, no migration and no right that a broker does not have. The functions of the database do not read it,
and exports and copies omit it. Pure.
"""

from __future__ import annotations

import json
from typing import Final

from ..coherence.membership import Entry, Registry
from ..core.operations import AnyOf, Condition, Equal, Get, Item, Key, Missing, Put, Table, Transact
from ..exceptions import RefusedError
from .schema import SPECS

KEY: Final[Key] = {"sub": "#brokers", "updated_at_id": "brokers"}
"""The sort key of a spec contains ``#``."""
_CONTENT: Final = "description"
READ: Final = Get(SPECS, KEY)


def is_registry(table: Table, item: Item) -> bool:
    """Returns whether an item is the registry."""
    return table is SPECS and item.get("updated_at_id") == KEY["updated_at_id"]


def to_registry(item: Item | None) -> Registry:
    """Returns the registry that is stored in an item.

    Raises:
        RefusedError: The item is damaged.
    """
    if item is None:
        return {}
    try:
        stored = json.loads(str(item[_CONTENT]))
        return {str(id_): Entry(str(address), bool(is_out)) for id_, (address, is_out) in stored.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        raise RefusedError("the registry of the brokers is damaged", code="DamagedItem") from None


def change(expected: Registry, registry: Registry) -> Transact:
    """Returns the transaction that replaces the registry if it is ``expected``."""
    unchanged: Condition = Equal(_CONTENT, _text(expected))
    if not expected:
        unchanged = AnyOf((Missing(_CONTENT), unchanged))
    return Transact((Put(SPECS, {**KEY, _CONTENT: _text(registry)}, unchanged),))


def _text(registry: Registry) -> str:
    return json.dumps({id_: list(entry) for id_, entry in registry.items()}, sort_keys=True, separators=(",", ":"))
