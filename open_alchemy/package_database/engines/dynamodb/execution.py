"""From an operation to a conversation with DynamoDB: paging, transactions and retries, for every transport.

An operation becomes a generator that yields what it wants done, and is sent the result: what a wire's attempts yield,
and ``Sleep``. It does no I/O and reads no clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from itertools import count
from typing import Any, TypeAlias, assert_never
from typing import Protocol as Typed

from ...core.deadline import Deadline
from ...core.operations import Failures, Get, Item, Page, Query, Result, Scan, StoreOperation, Transact
from ...core.runner import Sleep
from ...exceptions import BaseError, ConflictError, RefusedError, UnavailableError
from ...record import record
from . import requests
from .attribute_codec import decode_item, decode_whole
from .limits import CONNECTIONS
from .retry import Failure, Kind, Quota, Retries

Response: TypeAlias = Mapping[str, Any]


class Attempts(Typed):
    """Makes attempts for a conversation: its part of what a wire does, without the I/O."""

    def __call__(
        self, action: str, request: requests.Request, deadline: Deadline
    ) -> Generator[Any, Any, Response | Failure]:
        """Returns the steps of sending a request once; each is the wire's to perform.

        They return the response, its binary values as ``Secret``, or what went wrong.

        Args:
            action: DynamoDB's action.
            request: Its parameters.
            deadline: The call's.
        """


Conversation: TypeAlias = Generator[Any, Any, Result]
"""Yields the steps of the wire's attempts, and ``Sleep``."""

_WRITE = "TransactWriteItems"
_FAILED_CONDITION = "ConditionalCheckFailed"
_USED_UP = "IdempotentParameterMismatchException"
_CREDENTIALS_HINT = "the AWS credentials, or this machine's clock, are not right"
_HINTS: Mapping[str, str] = {
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


@record
class Protocol:
    """Carries on conversations.

    Attributes:
        attempts: Makes attempts, for the wire that performs them.
        quota: The retries that all calls share.
        random: Returns a random number from 0 to 1.
    """

    attempts: Attempts
    quota: Quota
    random: Callable[[], float]

    def carry_out(self, operation: StoreOperation, deadline: Deadline) -> Conversation[Any]:
        """Returns the conversation that carries out an operation; its return value is the operation's result."""
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

    def ask(self, action: str, request: requests.Request, table: str, deadline: Deadline) -> Conversation[Response]:
        """Returns the conversation that sends one request, which has no condition, until it is answered."""
        answer: Response | Failure = yield from self._attempts(action, request, table, deadline)
        if isinstance(answer, Failure):
            raise _refusal(answer, f"{action} on {table}") from answer.cause
        return answer

    def _get(self, operation: Get, deadline: Deadline) -> Conversation[Item | None]:
        answer = yield from self.ask("GetItem", requests.get_item(operation), operation.table.name, deadline)
        return decode_item(answer["Item"]) if "Item" in answer else None

    def _query(self, operation: Query, deadline: Deadline) -> Conversation[list[Item]]:
        items: list[Item] = []
        request = requests.query(operation)
        while True:
            answer = yield from self.ask("Query", request, operation.table.name, deadline)
            items += map(decode_item, answer["Items"])
            deadline.progress()
            # A page may be empty and not be the last (AWS, Query, Paginating).
            if not answer.get("LastEvaluatedKey"):
                return items
            request = {**request, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _scan(self, operation: Scan, deadline: Deadline) -> Conversation[Page]:
        table = operation.table
        action, request = requests.scan(operation)
        answer = yield from self.ask(action, request, table.name, deadline)
        deadline.progress()
        last = answer.get("LastEvaluatedKey")
        items = tuple(decode_whole(table, item) for item in answer["Items"])
        return Page(items, table.key_of(decode_item(last)) if last else None)

    def _transact(self, operation: Transact, deadline: Deadline) -> Conversation[Failures]:
        failed: list[Failure] = []
        request = requests.write(operation)
        answer = yield from self._attempts(_WRITE, request, _tables(operation), deadline, failed)
        if not isinstance(answer, Failure):
            return {}
        failures = _failures(operation, answer)
        if operation.token and any(failure.kind is Kind.TRANSIENT for failure in failed):
            yield from self._void(operation, deadline)
        return failures

    def _void(self, operation: Transact, deadline: Deadline) -> Conversation[None]:
        """Uses up the token of a transaction whose conditions failed after an attempt without an answer.

        That attempt may still be in flight, and its conditions may hold again when it arrives.
        """
        try:
            yield from self.ask(_WRITE, requests.void(operation), _tables(operation), deadline)
        except RefusedError as error:
            if error.code != _USED_UP:
                raise

    def _attempts(
        self,
        action: str,
        request: requests.Request,
        table: str,
        deadline: Deadline,
        failed: list[Failure] | None = None,
    ) -> Conversation[Any]:
        """Sends a request until it is answered or fails permanently; returns a failed condition as it is.

        ``failed`` collects the attempts that were repeated.
        """
        what = f"{action} on {table}"
        if not deadline.allows():
            raise UnavailableError(f"{what} was not begun: {deadline.elapsed():.1f} s were over")
        retries = Retries(self.quota, self.random)
        for attempt in count(1):
            answer = yield from self.attempts(action, request, deadline)
            if not isinstance(answer, Failure):
                retries.succeeded()
                return answer
            if answer.kind is Kind.CHECKED:
                retries.succeeded()
                return answer
            if answer.kind is Kind.NOT_SENT:
                retries.withdraw(0.0)
                raise UnavailableError(
                    f"{what} was not sent: it waited in the queue for one of the {CONNECTIONS} connections until the "
                    f"deadline ({deadline.elapsed():.1f} s)"
                ) from answer.cause
            delay = retries.delay(answer)
            if delay is None or not deadline.allows(delay):
                retries.withdraw(delay)
                raise _error(answer, what, attempt, deadline) from answer.cause
            if failed is not None:
                failed.append(answer)
            yield Sleep(delay)


def _tables(operation: Transact) -> str:
    return ", ".join(sorted({action.table.name for action in operation.actions}))


def _failures(operation: Transact, cancelled: Failure) -> Failures:
    """Returns the old items of failed conditions. Reasons are in the order of the actions (AWS, TransactWriteItems).

    Raises:
        RefusedError: A condition failed that the transaction does not have.
    """
    places = [place for place, reason in enumerate(cancelled.reasons) if reason.get("Code") == _FAILED_CONDITION]
    actions = operation.actions
    if any(place >= len(actions) or actions[place].condition is None for place in places):
        raise _refusal(cancelled, f"{_WRITE} on {_tables(operation)}")
    items = {place: cancelled.reasons[place].get("Item") for place in places}
    return {place: decode_item(item) if item else None for place, item in items.items()}


def _error(failure: Failure, what: str, attempts: int, deadline: Deadline) -> BaseError:
    effort = f"{attempts} attempts and {deadline.elapsed():.1f} s"
    match failure.kind:
        case Kind.CONFLICT:
            return ConflictError(f"{what} met other transactions in {effort}: {_describe(failure)}")
        case Kind.REFUSED:
            return _refusal(failure, what)
        case _:
            detail = f": {failure.detail}" if failure.detail else ""
            return UnavailableError(f"{what} did not succeed in {effort}: {_describe(failure)}{detail}")


def _refusal(failure: Failure, what: str) -> RefusedError:
    hints = [hint for code in (failure.code, *_reasons(failure)) if (hint := _HINTS.get(code))]
    if failure.code.isdecimal():
        hints.append("the server answered with an HTTP error that is not DynamoDB's")
    detail = failure.detail or next(iter(hints), "")
    hint = f": {detail}" if detail else ""
    return RefusedError(f"{what} was refused with {_describe(failure)}{hint}", code=failure.code)


def _describe(failure: Failure) -> str:
    reasons = _reasons(failure)
    codes = f"{failure.code} ({', '.join(reasons)})" if reasons else failure.code
    return f"{codes}, request id {failure.request_id}" if failure.request_id else codes


def _reasons(failure: Failure) -> list[str]:
    return sorted({code for reason in failure.reasons if (code := reason.get("Code", "None")) != "None"})
