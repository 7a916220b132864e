"""Executing operations with canned responses: paging, batches, cancellations, retries and deadlines."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from open_alchemy.package_database import BaseError, ConflictError, RefusedError, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import (
    Check,
    Delete,
    Get,
    Missing,
    Page,
    Put,
    Query,
    Scan,
    StoreOperation,
    Transact,
)
from open_alchemy.package_database.core.runner import Sleep
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb import requests
from open_alchemy.package_database.engines.dynamodb.boto3_client import Attempt, Boto3Client
from open_alchemy.package_database.engines.dynamodb.execution import Executor
from open_alchemy.package_database.engines.dynamodb.retry import POOL_TIMEOUT, QUOTA, Failure, Quota
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS

KEY = {"sub": "u1", "id": "1"}
GET = Get(CREDENTIALS, KEY)
TRANSACT = Transact(
    (Check(SPECS, {"sub": "u1", "updated_at_id": "latest#a"}, Missing("sub")), Delete(CREDENTIALS, KEY)), "token 1"
)

TIMEOUT = Failure("ReadTimeoutError", answered=False, cause=TimeoutError())
THROTTLED = Failure("ThrottlingException", status=400, request_id="R1")
CONFLICT = Failure(
    "TransactionCanceledException", status=400, reasons=({"Code": "None"}, {"Code": "TransactionConflict"})
)


def run(steps: Generator[Attempt | Sleep, Any, Any], perform: Callable[[Attempt | Sleep], Any]) -> Any:
    """Runs a generator of steps to its end."""
    result: Any = None
    while True:
        try:
            result = perform(steps.send(result))
        except StopIteration as stop:
            return stop.value


@dataclass
class Server:
    """Executes operations with canned responses and a fake clock.

    Attributes:
        answers: What it answers, in order; the last for ever.
        seconds: How long each answer takes.
    """

    answers: Sequence[Any]
    seconds: float = 0.0
    jitter: float = 1.0
    now: float = 0.0
    asked: list[Attempt] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    quota: Quota = field(default_factory=Quota)

    def execute(
        self, operation: StoreOperation, *, deadline: float = 5.0, renewable: bool = False, attempt: float = 0.0
    ) -> Any:
        executor = Executor(Boto3Client.attempts, self.quota, lambda: self.jitter)
        limit = Deadline(deadline, renewable=renewable, attempt=attempt, clock=lambda: self.now)
        return run(executor.execute(operation, limit), self._perform)

    def _perform(self, step: Attempt | Sleep) -> Any:
        if isinstance(step, Sleep):
            self.slept.append(step.seconds)
            self.now += step.seconds
            return None
        self.asked.append(step)
        assert len(self.asked) < 10_000, "no end"
        self.now += self.seconds
        return self.answers[min(len(self.asked), len(self.answers)) - 1]

    @property
    def quota_left(self) -> int:
        return self.quota.left


def test_an_item_is_read() -> None:
    server = Server([{"Item": {"sub": {"S": "u1"}, "salt": {"B": Secret(b"s")}}}])

    assert server.execute(GET) == {"sub": "u1", "salt": b"s"}
    assert server.execute(GET) is not None


def test_waiting_for_a_connection_is_not_counted_as_an_attempt() -> None:
    server = Server([Failure(POOL_TIMEOUT, answered=False)], seconds=5)

    with pytest.raises(UnavailableError, match=r"was not sent: it waited in the queue .* connections .* \(5\.0 s\)"):
        server.execute(GET)

    assert len(server.asked) == 1
    assert server.quota_left == QUOTA


def test_no_item_is_none() -> None:
    assert Server([{}]).execute(GET) is None


def test_a_query_reads_every_page_after_an_empty_one_too() -> None:
    pages = [
        {"Items": [{"id": {"S": "1"}}], "LastEvaluatedKey": {"id": {"S": "1"}}},
        {"Items": [], "LastEvaluatedKey": {"id": {"S": "5"}}},
        {"Items": [{"id": {"S": "6"}}]},
    ]
    server = Server(pages)

    assert server.execute(Query(CREDENTIALS, "u1")) == [{"id": "1"}, {"id": "6"}]
    starts = [attempt.request.get("ExclusiveStartKey") for attempt in server.asked]
    assert starts == [None, {"id": {"S": "1"}}, {"id": {"S": "5"}}]


def test_a_scan_returns_one_page_and_the_key_of_the_next() -> None:
    item, last = {"sub": {"S": "u1"}, "id": {"S": "1"}}, {"id": {"S": "5"}, "sub": {"S": "u1"}}
    server = Server([{"Items": [item], "LastEvaluatedKey": last}, {"Items": []}])

    assert server.execute(Scan(CREDENTIALS, 1)) == Page((KEY,), {"sub": "u1", "id": "5"})
    assert server.execute(Scan(CREDENTIALS, 1, after={"sub": "u1", "id": "5"})) == Page((), None)
    assert [attempt.action for attempt in server.asked] == ["Scan", "Scan"]
    assert server.asked[1].request["ExclusiveStartKey"] == {"sub": {"S": "u1"}, "id": {"S": "5"}}


def test_each_page_of_a_query_restarts_the_deadline() -> None:
    pages = [page_of(number) for number in range(20)] + [{"Items": []}]

    assert len(Server(pages, seconds=1).execute(Query(CREDENTIALS, "u1"), renewable=True)) == 20
    with pytest.raises(UnavailableError, match=r"deadline exceeded before the request was sent \(5\.0 s\)"):
        Server(pages, seconds=1).execute(Query(CREDENTIALS, "u1"))


def page_of(number: int) -> dict[str, Any]:
    key = {"id": {"S": str(number)}}
    return {"Items": [key], "LastEvaluatedKey": key}


@pytest.mark.parametrize("items", [[], [{"id": {"S": "1"}}]])
@pytest.mark.parametrize("cycle", [1, 2, 4])
def test_a_server_that_returns_a_page_key_again_is_refused(items: list[Any], cycle: int) -> None:
    pages = [{**page_of(number % cycle), "Items": items} for number in range(100)]
    server = Server(pages, seconds=1)

    with pytest.raises(UnavailableError, match=r"the response to Query on package\.credentials is malformed") as caught:
        server.execute(Query(CREDENTIALS, "u1"), renewable=True)

    assert caught.value.code == "MalformedResponse"
    assert len(server.asked) == cycle + 1


def test_empty_pages_do_not_renew_the_deadline() -> None:
    pages = [{**page_of(number), "Items": []} for number in range(100)]

    with pytest.raises(UnavailableError, match="deadline exceeded"):
        Server(pages, seconds=1).execute(Query(CREDENTIALS, "u1"), renewable=True)


def test_a_scan_that_does_not_advance_is_refused() -> None:
    start = {"sub": {"S": "u1"}, "id": {"S": "5"}}

    with pytest.raises(UnavailableError, match="malformed"):
        Server([{"Items": [], "LastEvaluatedKey": start}]).execute(Scan(CREDENTIALS, 1, after={"sub": "u1", "id": "5"}))


def test_an_error_has_the_code_the_request_id_the_attempts_and_the_seconds() -> None:
    server = Server([THROTTLED], seconds=0.5)

    with pytest.raises(UnavailableError) as caught:
        server.execute(GET, deadline=60)

    found: UnavailableError = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (found.code, found.request_id, found.attempts, found.seconds) == ("ThrottlingException", "R1", 4, 9.0)
    assert str(found) == str(caught.value)


@pytest.mark.parametrize(
    "reasons",
    [
        ({"Code": "None"}, {"Code": "ConditionalCheckFailed"}),
        ({"Code": "None"}, {"Code": "None"}, {"Code": "ConditionalCheckFailed"}),
    ],
    ids=["an action without a condition", "more reasons than actions"],
)
def test_a_failed_condition_that_the_transaction_does_not_have_is_refused(reasons: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(RefusedError):
        Server([Failure("TransactionCanceledException", status=400, reasons=reasons)]).execute(TRANSACT)


def test_a_failed_condition_of_an_unconditional_put_is_refused() -> None:
    reasons = ({"Code": "ConditionalCheckFailed"},)

    with pytest.raises(RefusedError, match="TransactionCanceledException"):
        Server([Failure("TransactionCanceledException", status=400, reasons=reasons)]).execute(
            Transact((Put(CREDENTIALS, KEY),))
        )


def test_a_successful_transaction_has_no_failures() -> None:
    assert Server([{}]).execute(TRANSACT) == {}


CHECKED = Failure("TransactionCanceledException", status=400, reasons=({"Code": "ConditionalCheckFailed"},))


def test_failed_conditions_are_returned_by_position_with_the_old_items() -> None:
    check = TRANSACT.actions[0]
    failed: dict[str, Any] = {"Code": "ConditionalCheckFailed", "Item": {"sub": {"S": "u1"}}}
    reasons = (failed, {"Code": "TransactionConflict"}, {"Code": "None"}, {"Code": "ConditionalCheckFailed"})
    server = Server([Failure("TransactionCanceledException", status=400, reasons=reasons)])

    assert server.execute(Transact((check, Delete(CREDENTIALS, KEY), check, check))) == {0: {"sub": "u1"}, 3: None}
    assert len(server.asked) == 1


@pytest.mark.parametrize("actions", [(Put(CREDENTIALS, KEY),), (Delete(CREDENTIALS, KEY),)])
def test_a_failed_condition_that_was_not_sent_is_refused(actions: tuple[Put | Delete, ...]) -> None:
    with pytest.raises(RefusedError, match="TransactWriteItems on package.credentials was refused"):
        Server([CHECKED]).execute(Transact(actions, "token"))


def test_reasons_for_more_actions_than_were_sent_are_refused() -> None:
    reasons = ({"Code": "None"}, {"Code": "None"}, {"Code": "ConditionalCheckFailed"})

    with pytest.raises(RefusedError):
        Server([Failure("TransactionCanceledException", reasons=reasons)]).execute(TRANSACT)


def test_the_token_of_a_failed_transaction_is_used_up_if_an_attempt_may_be_in_flight() -> None:
    server = Server([TIMEOUT, CHECKED, {}])

    assert server.execute(TRANSACT) == {0: None}
    assert [attempt.request for attempt in server.asked[1:]] == [requests.write(TRANSACT), requests.void(TRANSACT)]


MISMATCH = Failure("IdempotentParameterMismatchException", status=400)


def test_a_token_that_cannot_be_used_up_because_the_transaction_was_executed_is_a_success() -> None:
    assert Server([TIMEOUT, CHECKED, MISMATCH]).execute(TRANSACT) == {}


def test_a_final_transaction_uses_up_its_token_if_its_conditions_fail() -> None:
    server = Server([CHECKED, {}])

    assert server.execute(TRANSACT._replace(is_final=True)) == {0: None}
    assert server.asked[1].request == requests.void(TRANSACT)


def test_a_transaction_whose_token_is_used_up_is_a_conflict() -> None:
    with pytest.raises(ConflictError) as caught:
        Server([MISMATCH]).execute(TRANSACT)

    assert caught.value.code == "TokenUsed"


@pytest.mark.parametrize("first", [THROTTLED, CONFLICT])
def test_the_token_is_not_used_up_if_every_attempt_had_a_response(first: Failure) -> None:
    server = Server([first, CHECKED, {}])

    server.execute(TRANSACT)

    assert len(server.asked) == 2


def test_a_token_that_cannot_be_used_up_leaves_the_result_unknown() -> None:
    with pytest.raises(UnavailableError):
        Server([TIMEOUT, CHECKED, TIMEOUT]).execute(TRANSACT)


def test_a_transaction_keeps_its_token_over_its_retries() -> None:
    server = Server([TIMEOUT, THROTTLED, CONFLICT, {}])

    assert server.execute(TRANSACT) == {}
    assert {attempt.request["ClientRequestToken"] for attempt in server.asked} == {"token 1"}
    assert len(server.asked) == 4


def test_conflicts_are_retried_until_the_deadline() -> None:
    server = Server([CONFLICT], seconds=0.01)

    with pytest.raises(ConflictError, match="TransactWriteItems on package.credentials, package.specs") as caught:
        server.execute(TRANSACT)

    assert len(server.asked) > 10
    assert 4.5 < server.now <= 5
    assert server.quota_left == QUOTA
    assert "TransactionConflict" in str(caught.value)


def test_conflicts_do_not_use_up_the_attempts_for_faults() -> None:
    assert Server([CONFLICT] * 10 + [TIMEOUT] * 3 + [{}]).execute(TRANSACT) == {}


def test_a_fault_is_retried_three_times_with_growing_delays() -> None:
    server = Server([TIMEOUT])

    with pytest.raises(
        UnavailableError, match="GetItem on package.credentials did not succeed in 4 attempts"
    ) as caught:
        server.execute(GET)

    assert server.slept == [0.025, 0.05, 0.1]
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_throttling_has_longer_delays_than_a_fault() -> None:
    server = Server([THROTTLED, THROTTLED, {}])

    assert server.execute(GET) is None
    assert server.slept == [1.0, 2.0]


def test_the_delays_are_jittered() -> None:
    server = Server([THROTTLED, TIMEOUT, {}], jitter=0.5)

    server.execute(GET)

    assert server.slept == [0.5, 0.025]


def test_retry_after_extends_the_delay_within_limits() -> None:
    def after(retry_after: float) -> Failure:
        return Failure("ThrottlingException", status=400, retry_after=retry_after)

    server = Server([after(1.5), after(0.1), {}])
    server.execute(GET)
    late = Server([after(100.0), {}])
    late.execute(GET, deadline=60)

    assert server.slept == [1.5, 2.0]
    assert late.slept == [6.0]


@pytest.mark.parametrize(
    ("failure", "cost"), [(TIMEOUT, 14), (THROTTLED, 5), (Failure("InternalServerError", status=500), 14)]
)
def test_retries_take_quota_that_a_success_returns(failure: Failure, cost: int) -> None:
    server = Server([failure, failure, {}])

    server.execute(GET, deadline=60)

    # Two retries took quota, and the success returned that of the last one.
    assert server.quota_left == QUOTA - cost


def test_a_retry_that_the_deadline_forbids_costs_no_quota() -> None:
    server = Server([THROTTLED])

    with pytest.raises(UnavailableError):
        server.execute(GET, deadline=0.5)

    assert server.quota_left == QUOTA


def test_a_failed_condition_is_a_success_that_returns_quota() -> None:
    server = Server([TIMEOUT, CHECKED, {}])

    assert server.execute(TRANSACT) == {0: None}
    assert server.quota_left == QUOTA


def test_there_is_no_retry_without_quota() -> None:
    server = Server([TIMEOUT])
    server.quota.acquire(QUOTA - 13)

    with pytest.raises(UnavailableError, match="in 1 attempts"):
        server.execute(GET)


def test_each_success_returns_one_unit_of_quota() -> None:
    server = Server([{}])
    server.quota.acquire(QUOTA - 13)

    server.execute(GET)

    assert server.quota_left == 14


def test_no_attempt_starts_that_cannot_end_before_the_deadline() -> None:
    server = Server([TIMEOUT], seconds=2)

    with pytest.raises(UnavailableError, match="in 2 attempts"):
        server.execute(GET, deadline=5, attempt=2)

    assert server.now <= 5.5


def test_a_delay_beyond_the_deadline_raises_at_once() -> None:
    server = Server([THROTTLED], seconds=0.1)

    with pytest.raises(UnavailableError, match="ThrottlingException, request id R1"):
        server.execute(GET, deadline=0.5)

    assert server.now < 0.5


REFUSALS: list[tuple[Failure, str]] = [
    (
        Failure("ResourceNotFoundException", status=400, request_id="R1"),
        "request id R1: the table or its index does not",
    ),
    (Failure("AccessDeniedException", status=400), "the AWS credentials do not allow it"),
    (Failure("ExpiredTokenException", status=400), "have expired"),
    (Failure("UnrecognizedClientException", status=400), "machine's clock, are not right"),
    (Failure("NoCredentialsError"), "found no credentials"),
    (Failure("ValidationException", status=400), "GetItem on package.credentials was refused with ValidationException"),
    (Failure("SomethingNew", status=418), "SomethingNew"),
]


@pytest.mark.parametrize(("failure", "message"), REFUSALS, ids=[failure.code for failure, _ in REFUSALS])
def test_a_refusal_is_not_retried_and_has_a_reason(failure: Failure, message: str) -> None:
    server = Server([failure])

    with pytest.raises(RefusedError, match=message) as caught:
        server.execute(GET)

    assert caught.value.code == failure.code
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "failure",
    [
        Failure("RequestTimeout", status=400),
        Failure("Unknown", status=502),
        Failure("Unknown", status=503),
        Failure("Unknown", status=504),
        Failure("Unknown", status=429),
        Failure("ProvisionedThroughputExceededException", status=400),
        Failure("TransactionInProgressException", status=400),
        Failure("RequestLimitExceeded", status=400),
        Failure("TransactionConflictException", status=400),
    ],
)
def test_transient_errors_are_retried(failure: Failure) -> None:
    server = Server([failure, {}])

    assert server.execute(GET, deadline=60) is None
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (["None", "ItemCollectionSizeLimitExceeded"], RefusedError),
        (["ValidationError", "TransactionConflict"], RefusedError),
        (["None", "ThrottlingError"], UnavailableError),
        (["TransactionConflict", "ProvisionedThroughputExceeded"], UnavailableError),
        (["TransactionConflict", "None"], ConflictError),
        (["None", "None"], RefusedError),
    ],
)
def test_a_cancelled_transaction_raises_its_most_severe_reason(codes: list[str], error: type[BaseError]) -> None:
    reasons = tuple({"Code": code} for code in codes)

    with pytest.raises(error):
        Server([Failure("TransactionCanceledException", status=400, reasons=reasons)]).execute(TRANSACT)


def test_a_full_item_collection_is_explained() -> None:
    failure = Failure("TransactionCanceledException", reasons=({"Code": "ItemCollectionSizeLimitExceeded"},))

    with pytest.raises(RefusedError, match="10 GB"):
        Server([failure]).execute(TRANSACT)
