"""Evaluates a condition on the item that a transaction reads, or renders it to SQL. Pure."""

from __future__ import annotations

from ...core.operations import AllOf, AnyOf, AtLeast, Below, Condition, Equal, Item, Missing, Value


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


def render(condition: Condition | None, mark: str) -> tuple[str, tuple[Value, ...]]:
    """Returns a condition on the row ``item`` as a SQL expression, which is never NULL, and its parameters.

    Args:
        condition: The condition; None always holds.
        mark: The placeholder of a parameter.
    """
    match condition:
        case None:
            return "true", ()
        case Missing(attribute):
            return f'item."{attribute}" IS NULL', ()
        case Equal(attribute, value):
            return f'item."{attribute}" IS NOT DISTINCT FROM {mark}', (value,)
        case Below(attribute, digits) | AtLeast(attribute, digits):
            column, comparison = f'item."{attribute}"', "<" if isinstance(condition, Below) else ">="
            text = f"coalesce((length({column}), {column}) {comparison} ({mark}, {mark}), false)"
            return text, (len(digits), digits)
        case AllOf(conditions) | AnyOf(conditions):
            rendered = [render(part, mark) for part in conditions]
            operator, empty = (" AND ", "true") if isinstance(condition, AllOf) else (" OR ", "false")
            text = operator.join(part for part, _ in rendered) or empty
            return f"({text})", tuple(value for _, values in rendered for value in values)
