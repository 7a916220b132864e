"""What the steps of an operation yield. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from ..sql.statements import Statement

if TYPE_CHECKING:
    from logging import Logger


class Batch(NamedTuple):
    """Statements that are sent together, and whose results are received together. Result: the rows of each."""

    statements: Sequence[Statement]


Result = TypeVar("Result")
BatchSteps: TypeAlias = Generator[Statement | Batch, Any, Result]


class OnServer(NamedTuple):
    """Execute statements on one connection to a server. Result: that of the steps, or a ``Failure``.

    Attributes:
        server: The name of the server.
        steps: Starts the steps. They have their full effect or none, and may be executed again.
        what: What they are, for messages.
        reports_progress: Whether each received part of the result restarts the deadline of an unbounded call.
    """

    server: str
    steps: Callable[[], BatchSteps[Any]]
    what: str
    reports_progress: bool = False


class CheckOut(NamedTuple):
    """Take a connection to a server out of its pool, for the caller. Result: the connection, or a ``Failure``."""

    server: str
    logger: Logger | None
    what: str = "connecting"


Request: TypeAlias = OnServer | CheckOut


class Moving(NamedTuple):
    """Wait: the shard leaves one server and is not yet active on the other. Result: None."""

    shard: int


Requests: TypeAlias = Generator[Request | Moving, Any, Result]
"""Requests to servers, whose results are sent back."""
