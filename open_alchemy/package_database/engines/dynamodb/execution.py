"""Executes operations as DynamoDB requests: paging, transactions and retries, for every HTTP client.

An operation becomes a generator that yields the steps of the attempts, which an HTTP client performs, and ``Sleep``. It
does no I/O and reads no clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from itertools import count
from typing import Any, Final, TypeAlias, assert_never
from typing import Protocol as Interface

from ...core.deadline import Deadline
from ...core.operations import REPEATED, Failures, Get, Item, Page, Query, Result, Scan, StoreOperation, Transact
from ...core.runner import Sleep
from ...exceptions import ConflictError, RefusedError, StoreError, UnavailableError
from .. import telemetry
from . import requests
from .attribute_codec import check_whole, decode_item, decode_items
from .retry import POOL_TIMEOUT, SUCCESS_INCREMENT, Failure, Kind, Quota, Retries
from .timeouts import CONNECTIONS
from .traceback_redaction import without_frames

Response: TypeAlias = Mapping[str, Any]
RequestSteps: TypeAlias = Generator[Any, Any, Result]
"""Yields the steps of attempts, and ``Sleep``; is sent their results."""

MALFORMED_RESPONSE: Final = "MalformedResponse"
"""The code of the ``UnavailableError``."""

_MALFORMED: Final = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
"""What decoding raises if a response has another structure than DynamoDB's."""
_PROBLEMS: Final = frozenset({Kind.TRANSIENT, Kind.THROTTLED, Kind.REFUSED})


class Attempts(Interface):
    """Returns the steps of one attempt at a request; the HTTP client performs them."""

    def __call__(self, action: str, request: requests.Request, deadline: Deadline) -> RequestSteps[Response | Failure]:
        """Returns steps that return the response, its binary values as ``Secret``, or a failure.

        Args:
            action: DynamoDB's action.
            request: Its parameters.
            deadline: The deadline of the call.
        """


_WRITE: Final = "TransactWriteItems"
_FAILED_CONDITION: Final = "ConditionalCheckFailed"
_USED_UP: Final = "IdempotentParameterMismatchException"
_CREDENTIALS_HINT: Final = "the AWS credentials, or this machine's clock, are not right"
_HINTS: Final[Mapping[str, str]] = {
    "AccessDeniedException": "the AWS credentials do not allow it",
    "ExpiredToken": "the AWS credentials have expired",
    "ExpiredTokenException": "the AWS credentials have expired",
    "InvalidSignatureException": _CREDENTIALS_HINT,
    "ItemCollectionSizeLimitExceeded": "all specs of one user may take 10 GB, the local index included",
    "ItemCollectionSizeLimitExceededException": "all specs of one user may take 10 GB, the local index included",
    "NoCredentialsError": "the standard AWS chain found no credentials",
    "ResourceNotFoundException": "the table or its index does not exist in this region",
    "UnrecognizedClientException": _CREDENTIALS_HINT,
}


class Executor:
    """Executes operations.

    Args:
        attempts: Returns the steps of one attempt.
        quota: The retry quota of all calls.
        random: Returns a random number from 0 to 1.
    """

    def __init__(self, attempts: Attempts, quota: Quota, random: Callable[[], float]) -> None:
        self._attempt = attempts
        self._quota = quota
        self._random = random

    def execute(self, operation: StoreOperation, deadline: Deadline) -> RequestSteps[Any]:
        """Returns the steps of an operation; they return its result."""
        match operation:
            case Get():
                return self._get(operation, deadline)
            case Query():
                return self._query(operation, deadline)
            case Scan():
                return self._scan(operation, deadline)
            case Transact():
                return self._transact(operation, deadline)
            case _:
                assert_never(operation)

    def request(self, action: str, request: requests.Request, table: str, deadline: Deadline) -> RequestSteps[Response]:
        """Returns the steps of one request without a condition; they return the response."""
        response: Response | Failure = yield from self._attempts(action, request, table, deadline)
        return _checked(response, action, table, deadline)

    def _get(self, operation: Get, deadline: Deadline) -> RequestSteps[Item | None]:
        name = operation.table.name
        # Not through ``request``: each generator costs a concurrent call time and memory.
        response = yield from self._attempts("GetItem", requests.get_item(operation), name, deadline)
        response = _checked(response, "GetItem", name, deadline)
        with Decoding(f"GetItem on {name}", deadline):
            return decode_item(response["Item"]) if "Item" in response else None

    def _query(self, operation: Query, deadline: Deadline) -> RequestSteps[list[Item]]:
        name, limit = operation.table.name, operation.limit
        items: list[Item] = []
        request = requests.query(operation)
        starts: set[object] = {_hashable(request.get("ExclusiveStartKey") or {})}
        while True:
            response = yield from self.request("Query", request, name, deadline)
            with Decoding(f"Query on {name}", deadline):
                page = decode_items(response["Items"])
                last = next_page_key(response, starts)
            items += page
            # A page may be empty and not be the last (AWS, Query, Paginating); only items are progress.
            if page:
                deadline.progress()
            if last is None or (limit is not None and len(items) >= limit):
                return items[:limit]
            request = {**request, "ExclusiveStartKey": last}
            if limit is not None:
                request["Limit"] = limit - len(items)

    def _scan(self, operation: Scan, deadline: Deadline) -> RequestSteps[Page]:
        table = operation.table
        action, request = requests.scan(operation)
        response = yield from self.request(action, request, table.name, deadline)
        with Decoding(f"{action} on {table.name}", deadline):
            items = tuple(check_whole(table, item) for item in decode_items(response["Items"]))
            last = next_page_key(response, {_hashable(request.get("ExclusiveStartKey") or {})})
            after = None if last is None else table.key_of(decode_item(last))
        if items:
            deadline.progress()
        return Page(items, after)

    def _transact(self, operation: Transact, deadline: Deadline) -> RequestSteps[Failures]:
        repeated: list[Failure] = []
        tables = ", ".join(sorted({action.table.name for action in operation.actions}))
        try:
            response = yield from self._attempts(_WRITE, requests.write(operation), tables, deadline, repeated)
        except RefusedError as error:
            if error.code != _USED_UP:
                raise
            message = "a transaction was repeated after it had failed on its conditions"
            raise ConflictError(message, code=REPEATED) from error
        if not isinstance(response, Failure):
            return {}
        failures = _failures(operation, response, f"{_WRITE} on {tables}", deadline)
        if operation.is_final or (operation.token and any(failure.kind is Kind.TRANSIENT for failure in repeated)):
            return (yield from self._void(operation, failures, tables, deadline))
        return failures

    def _void(self, operation: Transact, failures: Failures, tables: str, deadline: Deadline) -> RequestSteps[Failures]:
        """Uses up the token of a transaction whose conditions failed after an attempt without an answer.

        That attempt may still be in flight, and its conditions may hold again when it arrives. If it arrives before,
        the transaction has taken effect.
        """
        try:
            yield from self.request(_WRITE, requests.void(operation), tables, deadline)
        except RefusedError as error:
            if error.code != _USED_UP:
                raise
            return {}
        return failures

    def _attempts(
        self,
        action: str,
        request: requests.Request,
        table: str,
        deadline: Deadline,
        repeated: list[Failure] | None = None,
    ) -> RequestSteps[Response | Failure]:
        """Sends a request until it is answered or fails permanently; returns a failed condition as a ``Failure``.

        ``repeated`` collects the attempts that were repeated.
        """
        if not deadline.allows():
            seconds = deadline.elapsed()
            raise UnavailableError(
                f"{action} on {table}: deadline exceeded before the request was sent ({seconds:.1f} s)", seconds=seconds
            )
        first, start = None, deadline.elapsed()
        if not telemetry.is_active():
            # The usual call needs neither a record nor retries, and no other generator.
            first = yield from self._attempt(action, request, deadline)
            if not isinstance(first, Failure):
                self._quota.release(SUCCESS_INCREMENT)
                return first
        steps = self._recorded_attempts(action, request, table, deadline, repeated, first, start)
        result: Response | Failure = yield from steps
        return result

    def _recorded_attempts(
        self,
        action: str,
        request: requests.Request,
        table: str,
        deadline: Deadline,
        repeated: list[Failure] | None,
        result: Response | Failure | None,
        start: float,
    ) -> RequestSteps[Response | Failure]:
        """Does what ``_attempts`` does, with a log record of each attempt.

        ``result`` is that of the first attempt, which began at ``start``, if it was made.
        """
        what = f"{action} on {table}"
        retries = Retries(self._quota, self._random)
        with telemetry.Request("aws.dynamodb", action, table, aws_service="DynamoDB") as record:
            for attempt in count(1):
                if result is None:
                    start = deadline.elapsed()
                    result = yield from self._attempt(action, request, deadline)
                seconds = deadline.elapsed() - start
                if not isinstance(result, Failure):
                    retries.succeeded()
                    record.attempt(attempt, seconds, request_id=_request_id(result))
                    return result
                kind = result.kind
                record.attempt(
                    attempt, seconds, code=result.code, request_id=result.request_id, is_problem=kind in _PROBLEMS
                )
                if kind is Kind.CHECKED:
                    retries.succeeded()
                    return result
                if kind is Kind.NOT_SENT:
                    retries.withdraw(0.0)
                    raise _not_sent(what, attempt - 1, deadline) from result.cause
                delay = retries.delay(result)
                if delay is None or not deadline.allows(delay):
                    retries.withdraw(delay)
                    raise _error(result, what, attempt, deadline) from result.cause
                if repeated is not None:
                    repeated.append(result)
                result = None
                yield Sleep(delay)
        raise AssertionError("count() has no end")


def next_page_key(response: Response, starts: set[object]) -> Response | None:
    """Returns the ``ExclusiveStartKey`` of the next page, None after the last, and adds it to the known ones.

    Raises:
        ValueError: The server returned this key before: the pages would never end.
    """
    last: Response | None = response.get("LastEvaluatedKey")
    if not last:
        return None
    start = _hashable(last)
    if start in starts:
        raise ValueError("LastEvaluatedKey was returned before")
    starts.add(start)
    return last


def _hashable(key: Response) -> object:
    return tuple(sorted(decode_item(key).items()))


def _request_id(response: Response) -> str | None:
    metadata = response.get("ResponseMetadata")
    found = metadata.get("RequestId") if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else None


class Decoding:
    """A context manager that raises ``UnavailableError`` if a response has another structure than DynamoDB's.

    Args:
        what: The request, for the message.
        deadline: The deadline of the call.
    """

    __slots__ = ("_deadline", "_what")

    def __init__(self, what: str, deadline: Deadline) -> None:
        self._what = what
        self._deadline = deadline

    def __enter__(self) -> None:
        """The block decodes a response."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, _MALFORMED):
            without_frames(error)
            raise UnavailableError(
                f"the response to {self._what} is malformed",
                code=MALFORMED_RESPONSE,
                attempts=1,
                seconds=self._deadline.elapsed(),
            ) from error


def _failures(operation: Transact, cancelled: Failure, what: str, deadline: Deadline) -> Failures:
    """Returns the old items of failed conditions. Reasons are in the order of the actions (AWS, TransactWriteItems).

    Raises:
        RefusedError: A condition failed that the transaction does not have.
    """
    actions = operation.actions
    places = [place for place, reason in enumerate(cancelled.reasons) if reason.get("Code") == _FAILED_CONDITION]
    if any(place >= len(actions) or actions[place].condition is None for place in places):
        raise _refusal(cancelled, what, 1, deadline)
    items = {place: cancelled.reasons[place].get("Item") for place in places}
    with Decoding(what, deadline):
        return {place: decode_item(item) if item else None for place, item in items.items()}


def _checked(response: Response | Failure, action: str, table: str, deadline: Deadline) -> Response:
    """Returns the response to a request without a condition; raises ``RefusedError`` for a failed one."""
    if isinstance(response, Failure):
        raise _refusal(response, f"{action} on {table}", 1, deadline) from response.cause
    return response


def _not_sent(what: str, attempts: int, deadline: Deadline) -> UnavailableError:
    seconds = deadline.elapsed()
    return UnavailableError(
        f"{what} was not sent: it waited in the queue for one of the {CONNECTIONS} connections until the deadline "
        f"({seconds:.1f} s)",
        code=POOL_TIMEOUT,
        attempts=attempts,
        seconds=seconds,
    )


def _error(failure: Failure, what: str, attempts: int, deadline: Deadline) -> StoreError:
    seconds = deadline.elapsed()
    effort = f"in {attempts} attempts and {seconds:.1f} s: {_describe(failure)}"
    match failure.kind:
        case Kind.CONFLICT:
            error: type[StoreError] = ConflictError
            message = f"{what} conflicted with other transactions {effort}"
        case Kind.REFUSED:
            return _refusal(failure, what, attempts, deadline)
        case _:
            detail = f": {failure.detail}" if failure.detail else ""
            error, message = UnavailableError, f"{what} did not succeed {effort}{detail}"
    return error(message, code=failure.code, request_id=failure.request_id, attempts=attempts, seconds=seconds)


def _refusal(failure: Failure, what: str, attempts: int, deadline: Deadline) -> RefusedError:
    hints = [hint for code in (failure.code, *_reasons(failure)) if (hint := _HINTS.get(code))]
    if failure.code.isdecimal():
        hints.append("the server answered with an HTTP error that is not DynamoDB's")
    detail = failure.detail or next(iter(hints), "")
    hint = f": {detail}" if detail else ""
    return RefusedError(
        f"{what} was refused with {_describe(failure)}{hint}",
        code=failure.code,
        request_id=failure.request_id,
        attempts=attempts,
        seconds=deadline.elapsed(),
    )


def _describe(failure: Failure) -> str:
    reasons = _reasons(failure)
    codes = f"{failure.code} ({', '.join(reasons)})" if reasons else failure.code
    return f"{codes}, request id {failure.request_id}" if failure.request_id else codes


def _reasons(failure: Failure) -> list[str]:
    return sorted({code for reason in failure.reasons if (code := reason.get("Code", "None")) != "None"})
