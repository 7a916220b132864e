"""Immutable values: frozen dataclasses that cost a cold start next to nothing.

``dataclasses`` imports ``inspect`` (5 ms) and compiles six methods per class (0.7 ms), which was a third of a cold
start. Records share their methods. ``dataclasses.fields``, ``replace`` and ``asdict`` accept them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, dataclass_transform, overload

_REQUIRED: Final = object()
_Class = TypeVar("_Class", bound=type)


class _Hidden:
    def __init__(self, default: object) -> None:
        self.default = default


def hidden(*, default: Any = _REQUIRED) -> Any:
    """Declares a field that the repr omits."""
    return _Hidden(default)


@overload
def record(cls: _Class) -> _Class: ...
@overload
def record(*, kw_only: bool) -> Callable[[_Class], _Class]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(hidden,))
def record(cls: Any = None, *, kw_only: bool = False) -> Any:
    """Makes a class a record: its annotated names are its fields, its class attributes their defaults.

    Fields that are inherited are keyword arguments, and so are all fields with ``kw_only``, which is for type checkers.
    """
    del kw_only
    return record if cls is None else _make(cls)


def _make(cls: Any) -> Any:
    own = {name: type_ for name, type_ in cls.__annotations__.items() if not str(type_).startswith("ClassVar")}
    concealed = {name: default.default for name, default in vars(cls).items() if isinstance(default, _Hidden)}
    for name, default in concealed.items():
        delattr(cls, name) if default is _REQUIRED else setattr(cls, name, default)
    fields = own | getattr(cls, "__record_fields__", {})
    cls.__record_fields__, cls.__record_hidden__ = fields, frozenset(concealed)
    setattr(cls, "__match_args__", tuple(fields))  # noqa: B010 (mypy refuses the assignment)
    cls.__dataclass_fields__ = _DataclassFields()
    for name, method in vars(_Methods).items():
        if callable(method) and not (name == "__repr__" and name in vars(cls)):
            setattr(cls, name, method)
    return cls


class _Methods:
    """The methods that all records share."""

    __match_args__: tuple[str, ...]

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self.__match_args__
        if named or len(values) != len(names):
            given = {*names[: len(values)], *named}
            missing = [name for name in names if name not in given and not hasattr(type(self), name)]
            if missing or len(given) != len(values) + len(named) or not given <= {*names}:
                raise TypeError(f"{type(self).__name__}() takes each of {names} at most once; missing: {missing}")
        vars(self).update(zip(names, values, strict=False), **named)
        del values, named  # a traceback of __post_init__ must not show secrets
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    def __eq__(self, other: object) -> bool:
        return _values(self) == _values(other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash(_values(self))

    def __repr__(self: Any) -> str:
        # A traceback near the recursion limit shows a record whose fields are not set yet.
        shown = [name for name in self.__match_args__ if name not in self.__record_hidden__ and hasattr(self, name)]
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def __setattr__(self, name: str, _value: object) -> None:
        _refuse(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        _refuse(f"cannot delete field {name!r}")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__match_args__])


def _refuse(message: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(message)


class _DataclassFields:
    """The fields as ``dataclasses`` describes them, made on the first access."""

    def __get__(self, instance: object, owner: Any) -> Any:
        from dataclasses import MISSING, field, make_dataclass

        def described(name: str) -> Any:
            default = getattr(owner, name, MISSING)
            # `dataclasses` refuses defaults without a hash; a `mappingproxy` has none before Python 3.12.
            given = {"default": default} if type(default).__hash__ else {"default_factory": lambda: default}
            return field(**given, repr=name not in owner.__record_hidden__)

        fields = [(name, type_, described(name)) for name, type_ in owner.__record_fields__.items()]
        model = vars(make_dataclass(owner.__name__, fields, kw_only=True, frozen=True))
        owner.__dataclass_params__, owner.__dataclass_fields__ = (
            model["__dataclass_params__"],
            model["__dataclass_fields__"],
        )
        return owner.__dataclass_fields__
