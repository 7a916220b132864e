"""The annotations of a function: checks values against them, and converts values to what messages contain. Pure."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from ..exceptions import RefusedError, ValidationError

MAX_BYTES: Final = 15_000_000
"""The most that the arguments or the result of a call may have; a message has at most 16 MB."""
_BINARY: Final = (bytes, bytearray)
_NOT_PORTABLE: Final = (msgspec.inspect.CustomType, msgspec.inspect.RawType, msgspec.inspect.ExtType)
_VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
_CODEC_ERRORS: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


class Signature:
    """The parameters and the result of a function.

    Args:
        function: The function.
        name: What messages call it.

    Raises:
        ValidationError: A parameter cannot be transmitted, has no annotation, or one that msgspec cannot serialize.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._name = name
        self._signature = inspect.signature(function)
        for parameter in self._signature.parameters.values():
            if parameter.kind in _VARIABLE:
                raise ValidationError(f"{name}: the parameter {parameter} cannot be passed by its name")
        types = _resolve(function, name)
        for parameter_name in (*self._signature.parameters, "return"):
            if parameter_name not in types:
                raise ValidationError(f"{name}: {parameter_name} has no annotation")
            _check_type(types[parameter_name], f"{name}: the type of {parameter_name}")
        self._result = types.pop("return")
        self._types: Mapping[str, Any] = types
        self._required = {
            parameter.name
            for parameter in self._signature.parameters.values()
            if parameter.default is inspect.Parameter.empty
        }

    def encode_arguments(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments of a call by their names, as builtin types.

        Raises:
            TypeError: They do not match the parameters, as in every call.
            ValidationError: One of them does not match its annotation, or they are too large.
        """
        bound = self._signature.bind(*arguments, **keywords).arguments
        encoded = {name: _encode(value, self._types[name], f"{self._name}: {name}") for name, value in bound.items()}
        _check_size(encoded, f"{self._name}: the arguments")
        return encoded

    def decode_arguments(self, encoded: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of a call, from builtin types.

        Raises:
            ValidationError: They do not match the parameters and their annotations.
        """
        if unknown := encoded.keys() - self._types.keys():
            raise ValidationError(f"{self._name} has no parameter {min(unknown)[:100]!r}")
        if missing := self._required - encoded.keys():
            raise ValidationError(f"{self._name}: the argument {min(missing)} is missing")
        return {name: _decode(value, self._types[name], f"{self._name}: {name}") for name, value in encoded.items()}

    def encode_result(self, result: Any) -> Any:
        """Returns a result as builtin types.

        Raises:
            RefusedError: It does not match the annotation, or is too large.
        """
        try:
            encoded = _encode(result, self._result, f"{self._name}: the result")
            _check_size(encoded, f"{self._name}: the result")
        except ValidationError as error:
            raise RefusedError(str(error), code="InvalidResult") from None
        return encoded

    def decode_result(self, encoded: Any) -> Any:
        """Returns a result, from builtin types.

        Raises:
            RefusedError: It does not match the annotation: the broker runs another version of the function.
        """
        try:
            return _decode(encoded, self._result, f"{self._name}: the result")
        except ValidationError as error:
            raise RefusedError(str(error), code="InvalidResult") from None


def _resolve(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise ValidationError(f"{name}: an annotation cannot be evaluated when the module is imported") from error


def _check_type(type_: Any, what: str) -> None:
    try:
        types = tuple(_walk(msgspec.inspect.type_info(type_)))
        msgspec.json.Decoder(type_)
    except Exception as error:
        raise ValidationError(f"{what} cannot be serialized: {error}") from error
    for found in types:
        if isinstance(found, _NOT_PORTABLE):
            refused = getattr(found, "cls", type(found))
            raise ValidationError(f"{what} cannot be serialized: msgspec does not support {refused.__qualname__}")


def _walk(type_: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """Yields a type and the types that it contains. Recursive types contain themselves."""
    seen: set[int] = set()
    waiting: list[Any] = [type_]
    while waiting:
        current = waiting.pop()
        if isinstance(current, tuple):
            waiting += current
        elif isinstance(current, msgspec.inspect.Type | msgspec.inspect.Field) and id(current) not in seen:
            seen.add(id(current))
            if isinstance(current, msgspec.inspect.Type):
                yield current
            waiting += (getattr(current, name) for name in current.__struct_fields__)


def _encode(value: Any, type_: Any, what: str) -> Any:
    try:
        encoded = msgspec.to_builtins(value, builtin_types=_BINARY, str_keys=True)
    except _CODEC_ERRORS as error:
        problem = f"{what} cannot be serialized: {error}"
    else:
        _decode(encoded, type_, what)
        return encoded
    raise ValidationError(problem)


def _decode(encoded: Any, type_: Any, what: str) -> Any:
    try:
        return msgspec.convert(encoded, type_, str_keys=True)
    except _CODEC_ERRORS as error:
        problem = str(error)
    raise ValidationError(f"{what}: {problem}")


def _check_size(encoded: Any, what: str) -> None:
    try:
        size = len(msgspec.msgpack.encode(encoded))
    except _CODEC_ERRORS:
        # The error may contain the text.
        raise ValidationError(f"{what} contain a number beyond 64 bits or a lone surrogate") from None
    if size > MAX_BYTES:
        raise ValidationError(f"{what}: {size} bytes are more than {MAX_BYTES}")
