"""The decorator ``exposed``: functions of the application that run in the broker."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar, overload

from ..coherence.dependency_recording import report_untracked
from ..engines.broker.messages import Call, Returned
from ..engines.port import AsyncEngine, Engine
from ..exceptions import RefusedError, ValidationError
from ..instances import api
from .function_signature import Signature

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class Function:
    """An exposed function.

    Attributes:
        name: Its module, a colon and its name.
        module: Its module.
        call: The function itself.
        signature: Its parameters and result.
        is_repeatable: Whether a call may be executed twice.
    """

    def __init__(self, call: Callable[..., Any], *, is_repeatable: bool) -> None:
        _check_kind(call)
        self.call = call
        self.module = call.__module__
        self.name = f"{call.__module__}:{call.__qualname__}"
        self.signature = Signature(call, self.name)
        self.is_repeatable = is_repeatable
        self.is_coroutine = inspect.iscoroutinefunction(call)

    @property
    def what(self) -> str:
        """The name of a call in messages."""
        return f"the call of {self.name}"

    @property
    def options(self) -> dict[str, bool]:
        """How a call is requested."""
        return {"is_write": True, "is_repeatable": self.is_repeatable}

    def read_answer(self, answer: Any) -> Any:
        """Returns the result that a broker sent."""
        if not isinstance(answer, Returned):
            raise RefusedError(f"{self.what}: the broker sent another kind of answer", code="UnexpectedAnswer")
        return self.signature.decode_result(answer.value)

    def check_result(self, result: Any) -> Any:
        """Returns the result of a local call as a broker would transmit it."""
        return self.signature.decode_result(self.signature.encode_result(result))


registry: Final[dict[str, Function]] = {}
"""The exposed functions of the imported modules by their names."""


@overload
def exposed(function: AnyFunction, /) -> AnyFunction: ...
@overload
def exposed(*, repeatable: bool = False) -> Callable[[AnyFunction], AnyFunction]: ...
def exposed(function: Callable[..., Any] | None = None, /, *, repeatable: bool = False) -> Any:
    """Lets a function run where the data is: a decorator of coroutine functions and of plain ones.

    A call runs in the broker if the database of the current process is ``broker://``, and in this process otherwise.
    In the broker, ``get_async()``, ``get()`` and the sessions of the function use the broker's store, and
    the instance that is current for the caller. A plain function runs in a thread there. The broker must import the
    module of the function: ``package-database broker --expose MODULE``.

    Arguments and results are checked against the annotations and converted by msgspec, in local calls too. A call has
    the deadline ``PACKAGE_DATABASE_DEADLINE`` in the broker, which cancels it then; a thread is not interrupted.

    Args:
        function: A function at the top level of a module, with annotations of all parameters and of the result.
        repeatable: Whether a call may run twice. A call is sent once; if no broker answers, it fails, and may have run.
            A call that is repeatable is sent again until its deadline, to other brokers too.

    Raises:
        ValidationError: The function cannot be exposed, or a type cannot be serialized. In a call: an argument does not
            match its annotation.
    """

    def decorate(call: Callable[..., Any]) -> Callable[..., Any]:
        exposed_function = Function(call, is_repeatable=repeatable)
        registry[exposed_function.name] = exposed_function
        return (_wrap_coroutine if exposed_function.is_coroutine else _wrap)(exposed_function)

    return decorate if function is None else decorate(function)


def _wrap(function: Function) -> Callable[..., Any]:
    @wraps(function.call)
    def call(*arguments: Any, **keywords: Any) -> Any:
        encoded = function.signature.encode_arguments(arguments, keywords)
        engine = api.current().engine()
        ask = _asking(engine)
        if ask is None:
            return function.check_result(function.call(**function.signature.decode_arguments(encoded)))
        report_untracked()
        engine.prepare()
        return function.read_answer(ask(Call(function.name, encoded), function.what, **function.options))

    return call


def _wrap_coroutine(function: Function) -> Callable[..., Any]:
    @wraps(function.call)
    async def call(*arguments: Any, **keywords: Any) -> Any:
        encoded = function.signature.encode_arguments(arguments, keywords)
        engine = api.current().async_engine()
        ask = _asking(engine)
        if ask is None:
            return function.check_result(await function.call(**function.signature.decode_arguments(encoded)))
        report_untracked()
        await engine.prepare()
        return function.read_answer(await ask(Call(function.name, encoded), function.what, **function.options))

    return call


def _asking(engine: Engine | AsyncEngine) -> Any:
    """Returns the method that sends a request to a broker; None if the engine is none of a broker."""
    return getattr(getattr(engine, "inner", engine), "ask", None)


def _check_kind(function: Callable[..., Any]) -> None:
    name = getattr(function, "__qualname__", type(function).__name__)
    if not inspect.isfunction(function):
        raise ValidationError(f"{name} cannot be exposed: it is no function")
    if function.__qualname__ != function.__name__ or name == "<lambda>":
        raise ValidationError(f"{name} cannot be exposed: it is not at the top level of a module")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ValidationError(f"{name} cannot be exposed: it is a generator")
