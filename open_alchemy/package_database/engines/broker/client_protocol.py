"""The client's side of the protocol: which broker gets a request, when it is sent again, and when it fails. No I/O.

A broker answers every request within ``SILENCE`` seconds, or reports that it works on it or sends its answer. Silence
means that the broker stopped or that a message was lost: the request is sent again, with the same id and token, through
the next broker.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple, TypeAlias

from ...coherence.messages import ReadHeader
from ...core.deadline import Deadline
from ...core.operations import REPEATED, Get, Item, Key, Query, Scan, StoreOperation, Transact
from ...core.operations import Page as CorePage
from ...core.runner import Sleep
from ...core.secret import Secret
from ...exceptions import ConflictError, RefusedError, UnavailableError
from .. import telemetry
from .codec import MESSAGEPACK, Codec, MessageError, encode
from .errors import to_error
from .messages import VERSION, AnswerBody, Executed, Failed, Found, Items, Request, RequestBody
from .operation_messages import from_failures, from_item, from_optional, to_message

SILENCE: Final = 1.0
STOPPING: Final = "Stopping"
"""The code of the error of a broker that stops and has not started the request."""
NOT_SENT: Final = Failed("UnavailableError", "the broker was not connected", "NotSent")
"""The result of an exchange whose request certainly did not reach the broker."""
LOST: Final = Failed("UnavailableError", "the connection to the broker ended", "ConnectionLost")
"""The result of an exchange that is not repeatable, and whose connection ended before the answer."""
_STOPPING_WAIT: Final = 0.05
_NOT_STARTED: Final = (STOPPING, NOT_SENT.code)


def wall_clock() -> float:
    """Returns the seconds since the epoch, also where a test has replaced ``time.time``."""
    return time.time_ns() / 1e9


class Exchange(NamedTuple):
    """Send a request to a broker and wait for its answer. Result: the body of the answer, or None after silence.

    Attributes:
        broker: The position of the broker among the addresses.
        id: The id of the request.
        message: The encoded request.
        silence: How many seconds to wait since the request was sent, or since the broker last reported work on it.
        seconds: How many seconds to wait at most.
        is_repeatable: Whether silence ends the wait, so that the request is sent again. Otherwise the end of the
            connection does.
        after_silence: Whether the last attempt met silence. On a bus, the request then goes to each of the brokers:
            the bus may select one that has stopped for as long as it considers it connected.
    """

    broker: int
    id: int
    message: Secret
    silence: float
    seconds: float
    is_repeatable: bool = True
    after_silence: bool = False


Steps: TypeAlias = Generator[Exchange | Sleep, AnswerBody | None, Any]


Begin: TypeAlias = Callable[[StoreOperation, int], ReadHeader | None]


def no_header(_: StoreOperation, __: int) -> None:
    """Returns no header: the client has no cache."""


class Requests:
    """The requests of one client.

    Args:
        brokers: The number of brokers.
        first: The position of the broker that is used first.
        instance: The instance of the brokers.
        clock: Returns the seconds since the epoch.
        codec: The codec of the messages.
    """

    def __init__(
        self,
        brokers: int,
        first: int,
        instance: str,
        clock: Callable[[], float] = wall_clock,
        codec: Codec = MESSAGEPACK,
    ) -> None:
        self.current = first
        self._brokers = brokers
        self._instance = instance
        self._clock = clock
        self._codec = codec
        self._ids = count(1)

    def execute(self, operation: StoreOperation, deadline: Deadline, begin: Begin = no_header) -> Steps:
        """Executes an operation, a query page by page, and returns its result.

        Args:
            operation: The operation.
            deadline: The deadline of the call.
            begin: Returns the header of the request of an operation, which is sent to a broker at once.
        """
        what = describe(operation)
        if isinstance(operation, Transact) and not operation.token:
            operation = operation._replace(token=secrets.token_hex(16))
        body = to_message(operation)
        is_write = isinstance(operation, Transact)
        answer, has_copies = yield from self._ask(
            body, what, deadline, is_write=is_write, header=partial(begin, operation)
        )
        if isinstance(operation, Transact) and isinstance(answer, Executed) and answer.failures and has_copies:
            answer = yield from self._end(operation, answer, what, deadline)
        match operation, answer:
            case Get(), Found(item):
                return from_optional(item)
            case Transact(), Executed():
                return from_failures(answer)
            case Scan(), Items(items, after):
                return CorePage(tuple(map(from_item, items)), after)
            case Query(), Items():
                return (yield from self._read_pages(operation, answer, what, deadline, begin))
        raise unexpected(what)

    def _end(self, operation: Transact, failed: Executed, what: str, deadline: Deadline) -> Steps:
        """Ends a transaction that failed and of which a copy may be in flight: it could be executed later otherwise."""
        body = to_message(operation._replace(is_final=True))
        try:
            return (yield from self.ask(body, what, deadline, is_write=True))
        except ConflictError as error:
            if error.code != REPEATED:
                raise
            return failed

    def _read_pages(self, query: Query, page: AnswerBody, what: str, deadline: Deadline, begin: Begin) -> Steps:
        found: list[Item] = []
        while True:
            if not isinstance(page, Items):
                raise unexpected(what)
            found += map(from_item, page.items)
            if page.after is None:
                return found
            deadline.progress()
            rest = next_page(query, len(found), page.after)
            page = yield from self.ask(to_message(rest), what, deadline, header=partial(begin, rest))

    def ask(
        self,
        body: RequestBody,
        what: str,
        deadline: Deadline,
        *,
        is_write: bool = False,
        is_repeatable: bool = True,
        header: Callable[[int], ReadHeader | None] = lambda _: None,
    ) -> Steps:
        """Sends a request until it is answered, and returns the body of the answer.

        Args:
            body: The request.
            what: What it is, for messages.
            deadline: The deadline of the call.
            is_write: Whether it may have taken effect if it is not answered.
            is_repeatable: Whether it may be executed twice. Otherwise it is sent again only if it was not started.
            header: Returns the header of the first attempt, which is sent to the broker at this position at once.

        Raises:
            BaseError: The error that the broker sent.
            UnavailableError: No broker answered before the deadline; or the connection to the broker ended, and the
                request must not be executed twice.
        """
        steps = self._ask(body, what, deadline, is_write=is_write, is_repeatable=is_repeatable, header=header)
        return (yield from steps)[0]

    def _ask(
        self,
        body: RequestBody,
        what: str,
        deadline: Deadline,
        *,
        is_write: bool,
        is_repeatable: bool = True,
        header: Callable[[int], ReadHeader | None],
    ) -> Generator[Exchange | Sleep, AnswerBody | None, tuple[AnswerBody, bool]]:
        """Does what ``ask`` does, and returns whether a copy of the request may be in flight too."""
        id_ = next(self._ids)
        attempts = 0
        has_copies = False
        answer: AnswerBody | None = NOT_SENT
        while (remaining := deadline.remaining()) > 0:
            attempts += 1
            broker = self.current
            try:
                read = header(broker) if attempts == 1 else None
                message = encode(
                    Request(VERSION, id_, self._clock(), remaining, body, self._instance, read), self._codec
                )
            except MessageError as error:
                raise RefusedError(f"{what} was not sent: {error}", code="NotEncodable") from None
            seconds = deadline.attempt_seconds()
            answer = yield Exchange(broker, id_, message, SILENCE, seconds, is_repeatable, after_silence=answer is None)
            if answer is LOST:
                self.leave(broker, what)
                raise _lost(what, attempts, deadline)
            if isinstance(answer, Failed) and answer.code not in _NOT_STARTED:
                raise to_error(answer)
            if answer is not None and not isinstance(answer, Failed):
                return answer, has_copies
            has_copies |= answer is None
            self.leave(broker, f"{what}: attempt {attempts}")
            if answer is None and not is_repeatable:
                break
            if answer is not None and answer.code == STOPPING:
                yield Sleep(_STOPPING_WAIT)
        raise _expired(what, attempts, deadline, is_write=is_write)

    def notice(self, body: RequestBody) -> Secret:
        """Returns a request that needs no answer."""
        return encode(Request(VERSION, next(self._ids), self._clock(), 0.0, body, self._instance), self._codec)

    def leave(self, broker: int, what: str) -> None:
        """Uses the next broker from now on, unless another request has decided so."""
        telemetry.debug("%s: broker %d did not answer", what, broker + 1)
        if self.current == broker:
            self.current = (broker + 1) % self._brokers


def next_page(query: Query, found: int, after: Key) -> Query:
    """Returns the operation that reads the next page of a query, of which some items were found."""
    return query._replace(after=after, limit=None if query.limit is None else query.limit - found)


def describe(operation: StoreOperation) -> str:
    """Returns the name of an operation and its tables."""
    if isinstance(operation, Transact):
        return f"Transact on {', '.join(sorted({action.table.name for action in operation.actions}))}"
    return f"{type(operation).__name__} on {operation.table.name}"


def unexpected(what: str) -> UnavailableError:
    """Returns the error of an answer that does not belong to its request."""
    return UnavailableError(f"{what} failed: the broker sent another kind of answer", code="UnexpectedAnswer")


def _lost(what: str, attempts: int, deadline: Deadline) -> UnavailableError:
    seconds = deadline.elapsed()
    text = f"{what} failed after {seconds:.1f} s: the connection to the broker ended; it may have taken effect"
    return UnavailableError(text, code=LOST.code, attempts=attempts, seconds=seconds)


def _expired(what: str, attempts: int, deadline: Deadline, *, is_write: bool) -> UnavailableError:
    seconds = deadline.elapsed()
    if not attempts:
        text = f"{what}: deadline exceeded before it was sent ({seconds:.1f} s)"
    else:
        effect = "; it may have taken effect" if is_write else ""
        text = f"{what} failed after {seconds:.1f} s: no broker answered before the deadline{effect}"
    return UnavailableError(text, code="DeadlineExceeded", attempts=attempts, seconds=seconds)
