"""What failed, as a value: the decision whether to repeat a request, and the error for the caller. Pure."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from ...core.backoff import full_jitter
from ...core.deadline import Deadline
from ...core.runner import Sleep
from ...exceptions import ConflictError, RefusedError, StoreError, UnavailableError
from .. import telemetry
from .io_requests import Moving, Request

_FIRST_WAIT: Final = 0.01
_MAX_WAIT: Final = 0.25
_MIN_ATTEMPT: Final = 0.1
"""Seconds that must remain for another attempt."""
_MOVE_POLL: Final = 0.02


class Kind(Enum):
    """What can be done about a failure."""

    REFUSED = auto()
    """A retry does not help."""
    MISSING = auto()
    """The schema or the table does not exist, or the shard has moved."""
    CONTENDED = auto()
    """Other transactions prevented this one: it was rolled back."""
    UNAVAILABLE = auto()
    """No answer, or the server ended the connection. What was sent may have been executed."""
    EXPIRED = auto()
    """The deadline was exceeded, or no connection was free in time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that failed.

    Attributes:
        kind: What can be done.
        code: The SQLSTATE, or a name where there is none.
        message: The reason, without any value of the request.
    """

    kind: Kind
    code: str
    message: str

    def to_error(self, what: str, attempts: int, deadline: Deadline) -> StoreError:
        """Returns the error for the caller."""
        seconds = deadline.elapsed()
        class_: type[StoreError]
        match self.kind:
            case Kind.REFUSED | Kind.MISSING:
                class_, verb = RefusedError, "was refused"
            case Kind.CONTENDED:
                class_, verb = ConflictError, f"lost against other transactions for {seconds:.1f} s"
            case _:
                class_, verb = UnavailableError, f"failed after {seconds:.1f} s"
        text = f"{what} {verb}: {self.message}"
        return class_(f"{text} ({self.code})", code=self.code, attempts=attempts, seconds=seconds)


NO_ANSWER: Final = Failure(Kind.EXPIRED, "DeadlineExceeded", "the server did not answer before the deadline")
COMMIT_UNANSWERED: Final = Failure(
    Kind.EXPIRED, "DeadlineExceeded", "the server did not answer a commit before the deadline; it may have taken effect"
)
CLOSED: Final = Failure(Kind.REFUSED, "Closed", "the database was closed")


def exhausted(size: int, server: str) -> Failure:
    """Returns the failure of a wait for a connection."""
    return Failure(Kind.EXPIRED, "PoolExhausted", f"all {size} connections to {server} were in use")


def attempts(
    request: Request, deadline: Deadline, log: telemetry.Request, random: Callable[[], float]
) -> Generator[Request | Sleep, Any, Any]:
    """Repeats a request until it succeeds, and returns its result; returns the failure if a schema is missing.

    Raises:
        RefusedError: The server refuses.
        ConflictError: Other transactions prevented it until the deadline.
        UnavailableError: The server did not answer before the deadline.
    """
    number = 0
    reason: Failure | None = None
    while True:
        number += 1
        started = deadline.elapsed()
        result = yield request
        failure = result if isinstance(result, Failure) else None
        is_problem = failure is not None and failure.kind is not Kind.CONTENDED
        log.attempt(number, deadline.elapsed() - started, code=failure.code if failure else None, is_problem=is_problem)
        if failure is None or failure.kind is Kind.MISSING:
            return result
        delay = full_jitter(_FIRST_WAIT, number - 1, _MAX_WAIT, random)
        if failure.kind is Kind.EXPIRED:
            # The last attempt may have had no time to fail for the reason of the one before.
            shown = failure if reason is None or failure is COMMIT_UNANSWERED else reason
            raise shown.to_error(request.what, number, deadline)
        reason = failure
        if failure.kind is Kind.REFUSED or deadline.remaining() <= delay + _MIN_ATTEMPT:
            raise failure.to_error(request.what, number, deadline)
        yield Sleep(delay)


def wait_for_move(moving: Moving, deadline: Deadline) -> Generator[Sleep, Any, None]:
    """Waits before the catalogs are read again.

    Raises:
        UnavailableError: The deadline is too near.
    """
    if deadline.remaining() <= _MOVE_POLL + _MIN_ATTEMPT:
        message = "the command `package-database shards move` was interrupted and must be run again"
        raise Failure(Kind.UNAVAILABLE, "ShardMoving", message).to_error(f"using shard {moving.shard}", 1, deadline)
    yield Sleep(_MOVE_POLL)
