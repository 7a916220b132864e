"""Translates errors to what a client gets. Pure.

The messages of a store may contain a path, a host or a value, and are for the broker's log only. The client gets the
class and the code of the error, the names of the operation and its tables, and an id under which the log has the rest.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Final, NamedTuple

from ..engines.broker.messages import Failed
from ..exceptions import BaseError, ConfigurationError, ConflictError, RefusedError, StoreError, UnavailableError

OVERLOADED = "Overloaded"
_PACKAGE: Final = BaseError.__module__.rpartition(".")[0]
_OWN_CODES: Final = ("Malformed", "InvalidResult")
_MAX_FRAMES: Final = 5


class Problem(NamedTuple):
    """An error: what the client gets, and whether the log needs a record of it."""

    failed: Failed
    is_logged: bool


def to_problem(error: Exception, what: str, id_: str) -> Problem:
    """Returns what the client gets for an error.

    Args:
        error: The error.
        what: What was requested.
        id_: The id of the record in the log.
    """
    if isinstance(error, BaseError) and not type(error).__module__.startswith(_PACKAGE):
        return Problem(_of_application(error), is_logged=False)
    if isinstance(error, StoreError):
        return _of_store(error, what, id_)
    if isinstance(error, BaseError) and not isinstance(error, ConfigurationError):
        return Problem(Failed(type(error).__name__, str(error)), is_logged=False)
    message = f"{what} failed in the broker: its log has the reason with id {id_}"
    return Problem(Failed("UnavailableError", message, "BrokerError"), is_logged=True)


def location(error: BaseException) -> str:
    """Returns where an error was raised, without a value: the innermost frames of its traceback."""
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    return ", ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)


def refusal(message: str, code: str) -> Failed:
    """Returns a refusal by the broker itself."""
    return Failed("RefusedError", message, code)


def overloaded(what: str, reason: str) -> Failed:
    """Returns the answer to a request beyond the queue or the limit of the client."""
    return Failed("UnavailableError", f"{what} was not started: {reason}", OVERLOADED)


def not_started(what: str, seconds: float) -> Failed:
    """Returns the answer to a request whose deadline ended in the queue."""
    message = f"{what} was not started: it waited in the broker's queue until the deadline ({seconds:.1f} s)"
    return Failed("UnavailableError", message, "DeadlineExceeded", seconds=seconds)


class OwnRefusalError(RefusedError):
    """The broker refuses; the message is its own and contains no value."""


class OwnUnavailableError(UnavailableError):
    """The broker could not finish; the message is its own and contains no value."""


def _of_application(error: BaseError) -> Failed:
    """Returns what a client gets for an error class of the application, which raises it where it can import it."""
    name = next(class_.__name__ for class_ in type(error).__mro__ if class_.__module__ == BaseError.__module__)
    details = (getattr(error, "code", ""), getattr(error, "request_id", None))
    return Failed(name, _text(error), *details, subclass=f"{type(error).__module__}:{type(error).__qualname__}")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (a method of the application)
        return type(error).__name__


def _of_store(error: StoreError, what: str, id_: str) -> Problem:
    name = next(class_.__name__ for class_ in type(error).__mro__ if class_.__module__ == StoreError.__module__)
    details = (error.code, error.request_id, error.attempts, error.seconds)
    if isinstance(error, OwnRefusalError | OwnUnavailableError) or error.code in _OWN_CODES:
        return Problem(Failed(name, str(error), *details), is_logged=False)
    verb = "was refused" if isinstance(error, RefusedError) else "failed"
    reason = f"{what} {verb} in the store behind the broker ({error.code or name})"
    # Conflicts are ordinary.
    if isinstance(error, ConflictError):
        return Problem(Failed(name, reason, *details), is_logged=False)
    return Problem(Failed(name, f"{reason}: the broker's log has the reason with id {id_}", *details), is_logged=True)
