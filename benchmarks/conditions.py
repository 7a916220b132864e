"""Whether a condition expression holds, of those that the package writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_TOKENS: Final = re.compile(r"[(),]|<|=|[#:\w]+")


def holds(part: Mapping[str, Any], item: Mapping[str, Any] | None) -> bool:
    """Returns whether the condition of a part of a transaction holds of the item that is there.

    Args:
        part: The parameters of a Put, Delete or ConditionCheck; without a condition, it holds.
        item: The item, None where there is none.
    """
    expression = part.get("ConditionExpression")
    return expression is None or _Evaluation(expression, part, item or {}).any_of()


class _Evaluation:
    """One reading of an expression, from left to right. ``AND`` binds stronger than ``OR``."""

    def __init__(self, expression: str, part: Mapping[str, Any], item: Mapping[str, Any]) -> None:
        self._tokens = _TOKENS.findall(expression)[::-1]
        self._names = part["ExpressionAttributeNames"]
        self._values = part.get("ExpressionAttributeValues", {})
        self._item = item

    def any_of(self) -> bool:
        results = [self._all_of()]
        while self._accept("OR"):
            results.append(self._all_of())
        return any(results)

    def _all_of(self) -> bool:
        results = [self._single()]
        while self._accept("AND"):
            results.append(self._single())
        return all(results)

    def _single(self) -> bool:
        if self._accept("("):
            result = self.any_of()
            self._expect(")")
            return result
        if self._accept("attribute_not_exists"):
            return self._argument() is None
        left, operator, right = self._operand(), self._tokens.pop(), self._operand()
        if left is None or right is None:
            return False
        return bool(left < right) if operator == "<" else bool(left == right)

    def _operand(self) -> Any:
        token = self._tokens.pop()
        if token == "size":  # noqa: S105 (a token of the language)
            value = self._argument()
            return None if value is None else len(value)
        return self._resolve(token)

    def _argument(self) -> Any:
        self._expect("(")
        value = self._resolve(self._tokens.pop())
        self._expect(")")
        return value

    def _resolve(self, token: str) -> Any:
        typed = self._values[token] if token.startswith(":") else self._item.get(self._names[token])
        if typed is None:
            return None
        return int(typed["N"]) if "N" in typed else typed["S"]

    def _accept(self, token: str) -> bool:
        if self._tokens and self._tokens[-1] == token:
            self._tokens.pop()
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise ValueError(f"{token!r} is missing before {self._tokens[-1:]}")
