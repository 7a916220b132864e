"""Translates errors to what a client gets. Pure.

The messages of a store may contain a path, a host or a value, and are for the broker's log only. The client gets the
class and the code of the error, the names of the operation and its tables, and an id under which the log has the rest.
"""

from __future__ import annotations

from typing import NamedTuple

from ..engines.broker.messages import Failed
from ..exceptions import BaseError, ConfigurationError, ConflictError, RefusedError, StoreError

OVERLOADED = "Overloaded"


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
    if isinstance(error, StoreError):
        return _of_store(error, what, id_)
    if isinstance(error, BaseError) and not isinstance(error, ConfigurationError):
        return Problem(Failed(type(error).__name__, str(error)), is_logged=False)
    message = f"{what} failed in the broker: its log has the reason with id {id_}"
    return Problem(Failed("UnavailableError", message, "BrokerError"), is_logged=True)


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


def _of_store(error: StoreError, what: str, id_: str) -> Problem:
    name = next(class_.__name__ for class_ in type(error).__mro__ if class_.__module__ == StoreError.__module__)
    details = (error.code, error.request_id, error.attempts, error.seconds)
    if isinstance(error, OwnRefusalError) or error.code == "Malformed":
        return Problem(Failed(name, str(error), *details), is_logged=False)
    verb = "was refused" if isinstance(error, RefusedError) else "failed"
    reason = f"{what} {verb} in the store behind the broker ({error.code or name})"
    # Conflicts are ordinary.
    if isinstance(error, ConflictError):
        return Problem(Failed(name, reason, *details), is_logged=False)
    return Problem(Failed(name, f"{reason}: the broker's log has the reason with id {id_}", *details), is_logged=True)
