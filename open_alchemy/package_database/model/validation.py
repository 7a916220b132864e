"""The rules that every argument of the database keeps, checked before any I/O and the same for every store.

An argument has one meaning wherever it occurs, so the rules stand in one table by the argument's name. The limits are
DynamoDB's, for every store: what one store takes, each of them takes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard

from ..core.operations import Item
from ..core.secret import Secret
from ..exceptions import ValidationError
from .keys import SECONDS_DIGITS, spec_id

MAX_PARTITION_KEY_BYTES: Final = 2048
MAX_SORT_KEY_BYTES: Final = 1024
MAX_SPEC_ID_BYTES: Final = MAX_SORT_KEY_BYTES - SECONDS_DIGITS - len("#")
MAX_MODEL_COUNT: Final = 2**63 - 1
MAX_PAGE: Final = 1000
MAX_ITEM_BYTES: Final = 400 * 1024
MAX_RECORD_BYTES: Final = MAX_ITEM_BYTES // 2
"""A record of a spec and its copy in the local index share one limit (AWS, Local Secondary Indexes)."""
_NUMBER_BYTES: Final = 21
"""The most that a number of up to 38 digits takes."""
_SHOWN: Final = 80
"""Characters of a wrong text, and bits of a wrong number, that a message shows."""

Rule: TypeAlias = Callable[[Any], Any]
"""Takes an argument and returns it in its plain type; raises ``_BrokenRuleError``."""


class _BrokenRuleError(Exception):
    """Says what the argument must be."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _BrokenRuleError("must be a str")
    plain = str.__str__(value)
    try:
        plain.encode()
    except UnicodeEncodeError:
        raise _BrokenRuleError("must be valid Unicode, without lone surrogates") from None
    if "\0" in plain:
        # PostgreSQL's text cannot contain it.
        raise _BrokenRuleError("must not contain a null character")
    return plain


def _is_plain_ascii(value: object, limit: int) -> TypeGuard[str]:
    """Returns whether this is a text of 1 to ``limit`` bytes that keeps every rule of texts: the usual one, quickly."""
    return type(value) is str and value.isascii() and 0 < len(value) <= limit and "\0" not in value


def _optional(rule: Rule) -> Rule:
    return lambda value: None if value is None else rule(value)


def _bytes(limit: int) -> Rule:
    def rule(value: object) -> str:
        if _is_plain_ascii(value, limit):
            return value
        plain = _text(value)
        if not 1 <= len(plain.encode()) <= limit:
            raise _BrokenRuleError(f"must have 1 to {limit} bytes in UTF-8")
        return plain

    return rule


def _spec_name(value: object) -> str:
    if _is_plain_ascii(value, MAX_SPEC_ID_BYTES):
        return value
    plain = _text(value)
    if not 1 <= len(spec_id(plain).encode()) <= MAX_SPEC_ID_BYTES:
        raise _BrokenRuleError(f"must have 1 to {MAX_SPEC_ID_BYTES} bytes in UTF-8 when canonicalized")
    return plain


def _integer(least: int, most: int) -> Rule:
    def rule(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _BrokenRuleError("must be an int")
        if not least <= value <= most:
            raise _BrokenRuleError(f"must be from {least} to {most}")
        return int(value)

    return rule


def _secret(value: object) -> Secret:
    if not isinstance(value, Secret):
        raise _BrokenRuleError("must be bytes, bytearray or memoryview")
    return value


RULES: Final[Mapping[str, Rule]] = {
    "sub": _bytes(MAX_PARTITION_KEY_BYTES),
    "name": _spec_name,
    "version": _bytes(MAX_RECORD_BYTES),
    "revision": _bytes(MAX_RECORD_BYTES),
    "model_count": _integer(0, MAX_MODEL_COUNT),
    "title": _optional(_text),
    "description": _optional(_text),
    "id_": _bytes(MAX_SORT_KEY_BYTES),
    "public_key": _bytes(MAX_PARTITION_KEY_BYTES),
    "secret_key_hash": _secret,
    "salt": _secret,
    "limit": _optional(_integer(1, MAX_PAGE)),
}
AFTER_ID: Final = _optional(_bytes(MAX_SPEC_ID_BYTES))
"""The rule of a page token of specs."""
AFTER_UPDATED_AT: Final = _optional(_integer(0, 10 ** (SECONDS_DIGITS - 1) - 1))
"""The rule of a page token of versions. The padded seconds in a key begin with a zero."""
SECRETS: Final = frozenset({"secret_key_hash", "salt"})
"""The arguments that are secrets."""


class _Withheld:
    """Stands for a secret of a wrong type, which must not be shown either."""

    def __init__(self, value: object) -> None:
        self._type = type(value).__name__

    def __repr__(self) -> str:
        return f"a value of type {self._type}"


def wrap_secrets(arguments: dict[str, Any]) -> None:
    """Wraps the secrets among arguments in place, so that no frame of a traceback below the caller's own shows one."""
    for name in SECRETS:
        if name in arguments and not isinstance(arguments[name], Secret | _Withheld):
            is_bytes = isinstance(arguments[name], bytes | bytearray | memoryview)
            arguments[name] = (Secret if is_bytes else _Withheld)(arguments[name])


def check(arguments: dict[str, Any]) -> None:
    """Checks the arguments of a call by name, and puts each in its plain type in place; wraps secrets first.

    Raises:
        ValidationError: An argument breaks its rule; the message names the argument, the rule and what was given.
    """
    wrap_secrets(arguments)
    for name, value in arguments.items():
        # An argument that the function does not take is refused when it is called.
        if (rule := RULES.get(name)) is not None:
            try:
                arguments[name] = rule(value)
            except _BrokenRuleError as broken:
                raise _invalid(name, value, broken) from None


def check_argument(name: str, value: object, rule: Rule) -> Any:
    """Returns an argument in its plain type.

    Raises:
        ValidationError: The argument breaks the rule; the message names the argument, the rule and what was given.
    """
    try:
        return rule(value)
    except _BrokenRuleError as broken:
        raise _invalid(name, value, broken) from None


def _invalid(name: str, value: object, broken: _BrokenRuleError) -> ValidationError:
    return ValidationError(f"{name} {broken}, not {_shown(value)}")


def check_item_size(item: Item, *, copies: int = 1) -> None:
    """Checks that an item, with its copies in local indexes, keeps to DynamoDB's limit.

    Raises:
        ValidationError: The item is too large; the message names its largest attribute.
    """
    limit = MAX_ITEM_BYTES // copies
    size = item_size(item)
    if size > limit:
        largest = max(item, key=lambda name: _value_size(item[name]))
        raise ValidationError(
            f"{largest} and the other arguments make an item of {size} bytes, which must be at most {limit}"
        )


def item_size(item: Item) -> int:
    """Returns the size of an item in bytes, at most a few too many: the names and values of its attributes.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: object) -> int:
    match value:
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
        case _:
            return _NUMBER_BYTES


def _shown(value: object) -> str:
    match value:
        case _Withheld() | None | bool():
            return repr(value)
        case int() if value.bit_length() <= _SHOWN:
            return repr(value)
        case str() if len(value) <= _SHOWN:
            return repr(str.__str__(value))
        case str():
            return f"{value[:_SHOWN]!r}... ({len(value)} characters)"
        case _:
            return f"a value of type {type(value).__name__}"
