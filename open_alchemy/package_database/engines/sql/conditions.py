"""Evaluates a condition on the item that a transaction reads. Pure."""

from __future__ import annotations

from ...core.operations import AllOf, AnyOf, AtLeast, Below, Condition, Equal, Item, Missing


def holds(condition: Condition, item: Item | None) -> bool:
    """Returns whether a condition holds. A missing item lacks every attribute."""
    attributes = item or {}
    match condition:
        case Missing(attribute):
            return attribute not in attributes
        case Equal(attribute, value):
            return attributes.get(attribute) == value
        case Below(attribute, digits):
            # Of two numbers without leading zeros, the one with fewer digits is smaller.
            found = str(attributes.get(attribute, digits))
            return (len(found), found) < (len(digits), digits)
        case AtLeast(attribute, digits):
            found = str(attributes.get(attribute, ""))
            return (len(found), found) >= (len(digits), digits)
        case AllOf(conditions):
            return all(holds(part, item) for part in conditions)
        case AnyOf(conditions):
            return any(holds(part, item) for part in conditions)
