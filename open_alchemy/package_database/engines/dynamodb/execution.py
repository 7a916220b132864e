"""From an operation to a conversation with DynamoDB: paging, batches, cancellations and retries, for every transport.

An operation becomes a generator that yields what it wants done, and is sent the result: what a wire's attempts yield,
and ``Sleep``. It does no I/O and reads no clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from itertools import count
from typing import Any, TypeAlias, assert_never
from typing import Protocol as Typed

from ...core.deadline import Deadline
from ...core.operations import DeleteMany, Failures, Get, Item, Page, Query, Result, Scan, StoreOperation, Transact
from ...core.runner import Sleep
from ...exceptions import BaseError, ConflictError, RefusedError, UnavailableError
from ...record import record
from . import requests
from .attribute_codec import decode_item, decode_whole
from .retry import Failure, Kind, Quota, Retries, conflict_delay

Response: TypeAlias = Mapping[str, Any]


class Attempts(Typed):
    """Makes attempts for a conversation: its part of what a wire does, without the I/O."""

    def __call__(
        self, action: str, request: requests.Request, seconds: Callable[[], float]
    ) -> Generator[Any, Any, Response | Failure]:
        """Returns the steps of sending a request once; each is the wire's to perform.

        They return the response, its binary values as ``Secret``, or what went wrong.

        Args:
            action: DynamoDB's action.
            request: Its parameters.
            seconds: Returns after how many seconds from now it must be given up, where the wire can.
        """


Conversation: TypeAlias = Generator[Any, Any, Result]
"""Yields the steps of the wire's attempts, and ``Sleep``."""

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
        token: Draws the token of a transaction, at most 36 characters.
    """

    attempts: Attempts
    quota: Quota
    random: Callable[[], float]
    token: Callable[[], str]

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
            case DeleteMany():
                return self._delete_many(operation, deadline)
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
        action, request = requests.write(operation, self.token())
        tables = ", ".join(sorted({action.table.name for action in operation.actions}))
        answer = yield from self._attempts(action, request, tables, deadline)
        if not isinstance(answer, Failure):
            return {}
        # A cancelled transaction gives its reasons in the order of its actions (AWS, TransactWriteItems).
        return {
            place: decode_item(reason["Item"]) if reason.get("Item") else None
            for place, reason in enumerate(answer.reasons)
            if reason.get("Code") == "ConditionalCheckFailed"
        }

    def _delete_many(self, operation: DeleteMany, deadline: Deadline) -> Conversation[None]:
        name, left = operation.table.name, len(operation.keys)
        for batch in requests.delete_batches(operation):
            request, rounds = batch, 0
            while True:
                try:
                    answer = yield from self.ask("BatchWriteItem", request, name, deadline)
                except UnavailableError as error:
                    raise UnavailableError(f"{error}; {left} of {len(operation.keys)} items are left") from error
                unprocessed = answer.get("UnprocessedItems") or {}
                done = len(request["RequestItems"][name]) - len(unprocessed.get(name, ()))
                left -= done
                if done:
                    deadline.progress()
                    rounds = 0
                if not unprocessed:
                    break
                delay = conflict_delay(rounds, self.random)
                rounds += 1
                if not deadline.allows(delay):
                    raise UnavailableError(
                        f"BatchWriteItem on {name} left {left} of {len(operation.keys)} items unprocessed "
                        f"after {deadline.elapsed():.1f} s"
                    )
                yield Sleep(delay)
                request = {"RequestItems": unprocessed}

    def _attempts(self, action: str, request: requests.Request, table: str, deadline: Deadline) -> Conversation[Any]:
        """Sends a request until it is answered, or fails for good; returns a failed condition as it is."""
        what = f"{action} on {table}"
        if not deadline.allows():
            raise UnavailableError(f"{what} was not begun: {deadline.elapsed():.1f} s were over")
        retries = Retries(self.quota, self.random)
        for attempt in count(1):
            answer = yield from self.attempts(action, request, deadline.attempt_seconds)
            if not isinstance(answer, Failure):
                retries.succeeded()
                return answer
            if answer.kind is Kind.CHECKED:
                retries.succeeded()
                return answer
            delay = retries.delay(answer)
            if delay is None or not deadline.allows(delay):
                retries.withdraw(delay)
                raise _error(answer, what, attempt, deadline) from answer.cause
            yield Sleep(delay)


def _error(failure: Failure, what: str, attempts: int, deadline: Deadline) -> BaseError:
    effort = f"{attempts} attempts and {deadline.elapsed():.1f} s"
    match failure.kind:
        case Kind.CONFLICT:
            return ConflictError(f"{what} met other transactions in {effort}: {_describe(failure)}")
        case Kind.REFUSED:
            return _refusal(failure, what)
        case _:
            return UnavailableError(f"{what} did not succeed in {effort}: {_describe(failure)}")


def _refusal(failure: Failure, what: str) -> RefusedError:
    hints = [hint for code in (failure.code, *_reasons(failure)) if (hint := _HINTS.get(code))]
    hint = f": {hints[0]}" if hints else ""
    return RefusedError(f"{what} was refused with {_describe(failure)}{hint}", code=failure.code)


def _describe(failure: Failure) -> str:
    reasons = _reasons(failure)
    codes = f"{failure.code} ({', '.join(reasons)})" if reasons else failure.code
    return f"{codes}, request id {failure.request_id}" if failure.request_id else codes


def _reasons(failure: Failure) -> list[str]:
    return sorted({code for reason in failure.reasons if (code := reason.get("Code", "None")) != "None"})
