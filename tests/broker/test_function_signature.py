"""Annotations of exposed functions: what is refused at decoration, and how values are checked. No I/O."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import pytest

from open_alchemy.package_database import TSpecInfo, ValidationError, exposed
from open_alchemy.package_database.broker.function_signature import Signature


@dataclass
class Node:
    """A recursive type."""

    value: int
    children: list[Node]


class Opaque:
    pass


@dataclass
class Hidden:
    deep: dict[str, list[Opaque]]


class Methods:
    def method(self, sub: str) -> None: ...
    @classmethod
    def of_class(cls, sub: str) -> None: ...
    @staticmethod
    def static(sub: str) -> None: ...


def generator(sub: str) -> Iterator[str]:
    yield sub


async def async_generator(sub: str) -> AsyncIterator[str]:
    yield sub


def no_annotation(sub) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def no_result(sub: str): ...  # type: ignore[no-untyped-def] # noqa: ANN201
def variable(*subs: str) -> None: ...
def keywords(**subs: str) -> None: ...
def positional(sub: str, /) -> None: ...
def opaque(value: Opaque) -> None: ...
def opaque_result() -> Opaque: ...  # type: ignore[empty-body]
def hidden(value: Hidden) -> None: ...
def callback(value: Callable[[], None]) -> None: ...
def a_stream(value: Iterator[str]) -> None: ...
def ambiguous(value: int | list[str] | set[int]) -> None: ...
def unknown(value: Unknown) -> None: ...  # type: ignore[name-defined] # noqa: F821
def broken(value: 1 / 0) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (Methods.method, "top level"),
        (Methods.__dict__["of_class"], "no function"),
        (Methods.__dict__["static"], "no function"),
        (Methods.of_class, "no function"),
        (Methods, "no function"),
        (Methods().method, "no function"),
        (lambda: None, "top level"),
        (print, "no function"),
        (generator, "generator"),
        (async_generator, "generator"),
        (no_annotation, "sub has no annotation"),
        (no_result, "return has no annotation"),
        (variable, "cannot be passed by its name"),
        (keywords, "cannot be passed by its name"),
        (positional, "cannot be passed by its name"),
        (opaque, "Opaque"),
        (opaque_result, "the type of return cannot be serialized.*Opaque"),
        (hidden, "the type of value cannot be serialized.*Opaque"),
        (callback, "Callable"),
        (a_stream, "Iterator"),
        (ambiguous, "array-like"),
        (unknown, "cannot be evaluated"),
        (broken, "cannot be evaluated"),
    ],
)
def test_what_cannot_be_called_from_elsewhere_is_refused_at_decoration(
    function: Callable[..., Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        exposed(function)


def test_a_function_within_a_function_is_refused() -> None:
    def inner() -> None: ...

    with pytest.raises(ValidationError, match="top level"):
        exposed(repeatable=True)(inner)


def types(
    node: Node, infos: list[TSpecInfo], any_value: Any, pair: tuple[int, str] = (1, "a"), maybe: str | None = None
) -> Node:
    return node


def test_recursive_and_structured_types_are_accepted() -> None:
    signature = Signature(types, "types")
    encoded = signature.encode_arguments((Node(1, [Node(2, [])]), []), {"any_value": {"a": [b"\xff"]}})
    assert encoded["node"] == {"value": 1, "children": [{"value": 2, "children": []}]}
    assert signature.decode_arguments(encoded)["node"] == Node(1, [Node(2, [])])


def echo(value: Any) -> Any: ...


nested: list[Any] = []
nested.append(nested)


@pytest.mark.parametrize("value", [object(), 2**70, "\ud800", nested])
def test_a_value_that_cannot_be_serialized_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Signature(echo, "echo").encode_arguments((value,), {})


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ({}, "the argument sub is missing"),
        ({"sub": "u", "other": 1}, "no parameter 'other'"),
        ({"sub": 1}, "sub: Expected `str`, got `int`"),
    ],
)
def test_arguments_of_a_client_are_checked(encoded: dict[str, Any], message: str) -> None:
    def function(sub: str, size: int = 1) -> None: ...

    with pytest.raises(ValidationError, match=message):
        Signature(function, "function").decode_arguments(encoded)


def test_a_decorator_keeps_what_describes_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("application_of_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("def size(text: 'str') -> 'int':\n    'Doc.'\n    return len(text)", vars(module))  # noqa: S102
    wrapped = exposed(module.size)
    assert isinstance(wrapped, FunctionType)
    assert (wrapped.__name__, wrapped.__doc__, wrapped.__module__) == ("size", "Doc.", "application_of_test")
