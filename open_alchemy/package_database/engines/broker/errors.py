"""Errors as messages. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from ... import exceptions
from ...exceptions import BaseError, StoreError, UnavailableError
from .messages import Failed

_CLASSES: Final[dict[str, type[BaseError]]] = {
    class_.__name__: class_
    for class_ in vars(exceptions).values()
    if isinstance(class_, type) and issubclass(class_, BaseError)
}


def to_error(failed: Failed) -> BaseError:
    """Returns the error of a message; ``UnavailableError`` if its class is unknown.

    An error class of the application is found if its module is imported, and is created with the message alone.
    """
    if failed.subclass and (subclass := _find(failed.subclass, BaseError)) is not None:
        with suppress(Exception):
            return _created(subclass, failed)
    class_ = _CLASSES.get(failed.error, UnavailableError)
    if not issubclass(class_, StoreError):
        return class_(failed.message)
    return class_(
        failed.message,
        code=failed.code,
        request_id=failed.request_id,
        attempts=failed.attempts,
        seconds=failed.seconds,
    )


def _find(name: str, base: type[BaseError]) -> type[BaseError] | None:
    for class_ in base.__subclasses__():
        if f"{class_.__module__}:{class_.__qualname__}" == name:
            return class_
        if (found := _find(name, class_)) is not None:
            return found
    return None


def _created(class_: type[BaseError], failed: Failed) -> BaseError:
    error = class_(failed.message)
    if isinstance(error, StoreError):
        error.code, error.request_id = failed.code, failed.request_id
    return error
