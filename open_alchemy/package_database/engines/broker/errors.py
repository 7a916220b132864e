"""Errors as messages. Pure."""

from __future__ import annotations

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
    """Returns the error of a message; ``UnavailableError`` if its class is unknown."""
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
