"""The client's state machine: resends, the choice of the broker, deadlines and errors. No I/O."""

from __future__ import annotations

from typing import Any, cast

import pytest

from open_alchemy.package_database import BaseError, ConflictError, NotFoundError, RefusedError, UnavailableError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Get, Put, Query, StoreOperation, Transact
from open_alchemy.package_database.core.runner import Sleep
from open_alchemy.package_database.engines.broker import messages
from open_alchemy.package_database.engines.broker.client_protocol import SILENCE, Exchange, Requests
from open_alchemy.package_database.engines.broker.codec import decode_request
from open_alchemy.package_database.engines.broker.errors import to_error
from open_alchemy.package_database.engines.broker.messages import Executed, Failed, Found, Item, Items
from open_alchemy.package_database.engines.broker.operation_messages import to_message
from open_alchemy.package_database.model.schema import SPECS

KEY = {"sub": "u", "updated_at_id": "latest#a"}
GET = Get(SPECS, KEY)
PUT = Transact((Put(SPECS, {**KEY, "id": "a"}),), "token")
FOUND = Found(Item({**KEY, "id": "a"}))


class Run:
    """The steps of an operation; the test plays the brokers and the clock."""

    def __init__(self, operation: StoreOperation, *, brokers: int = 1, seconds: float = 5.0) -> None:
        self.now = 0.0
        self.requests = Requests(brokers, 0, "", lambda: 1000.0 + self.now)
        self.deadline = Deadline(seconds, clock=lambda: self.now)
        self._steps = self.requests.execute(operation, self.deadline)
        self.step: Exchange | Sleep = next(self._steps)

    @property
    def request(self) -> messages.Request:
        return decode_request(self.exchange.message)[1]

    @property
    def exchange(self) -> Exchange:
        return cast("Exchange", self.step)

    def answer(self, body: messages.AnswerBody | None, *, after: float = 0.0) -> Any:
        """Continues; returns the result if this was the last step."""
        self.now += after
        try:
            self.step = self._steps.send(body)
        except StopIteration as stop:
            return stop.value


def test_a_request_contains_the_time_left_and_the_time_of_the_client() -> None:
    run = Run(GET)
    assert (run.request.seconds, run.request.sent, run.request.body) == (
        5.0,
        1000.0,
        messages.Get(SPECS.name, "u", "latest#a"),
    )
    assert run.answer(FOUND) == {**KEY, "id": "a"}


def test_after_silence_the_same_request_goes_to_the_next_broker() -> None:
    run = Run(PUT, brokers=3)
    first = run.request
    run.answer(None, after=SILENCE)
    assert (run.exchange.broker, run.request.id, run.request.body) == (1, first.id, first.body)
    assert (run.request.seconds, run.request.sent) == (4.0, 1001.0)
    assert run.exchange.after_silence
    assert run.answer(Executed()) == {}


FAILED = Executed((messages.Failure(0, None),))


def test_failed_conditions_after_silence_are_returned_when_no_copy_can_be_executed_any_more() -> None:
    run = Run(PUT)
    run.answer(None, after=SILENCE)
    run.answer(FAILED)
    assert run.request.body == to_message(PUT._replace(is_final=True))
    assert run.answer(FAILED) == {0: None}


@pytest.mark.parametrize(
    ("answer", "result"),
    [(Executed(), {}), (Failed("ConflictError", "", "TokenUsed"), {0: None})],
    ids=["a copy was executed before", "no copy is executed"],
)
def test_what_happened_to_a_copy_decides_the_result(answer: messages.AnswerBody, result: object) -> None:
    run = Run(PUT)
    run.answer(None, after=SILENCE)
    run.answer(FAILED)
    assert run.answer(answer) == result


def test_a_conflict_while_copies_are_in_flight_is_raised() -> None:
    run = Run(PUT)
    run.answer(None, after=SILENCE)
    run.answer(FAILED)
    with pytest.raises(ConflictError):
        run.answer(Failed("ConflictError", "", "TransactionConflict"))


def test_failed_conditions_of_a_request_that_was_sent_once_are_returned_at_once() -> None:
    run = Run(PUT)
    run.answer(Failed("UnavailableError", "", "NotSent"))
    assert run.answer(FAILED) == {0: None}


@pytest.mark.parametrize("code", ["NotSent", "Stopping"])
def test_a_request_that_no_broker_has_started_goes_to_one_broker_again(code: str) -> None:
    run = Run(PUT)
    assert not run.exchange.after_silence
    run.answer(Failed("UnavailableError", "", code))
    if isinstance(run.step, Sleep):
        run.answer(None)
    assert not run.exchange.after_silence


def test_later_requests_go_to_the_broker_that_answered() -> None:
    run = Run(GET, brokers=2)
    run.answer(None, after=SILENCE)
    run.answer(FOUND)
    following = next(run.requests.execute(GET, run.deadline))
    assert isinstance(following, Exchange)
    assert following.broker == 1


def test_two_requests_without_an_answer_leave_a_broker_once() -> None:
    run = Run(GET, brokers=3)
    other = run.requests.execute(GET, run.deadline)
    next(other)
    run.answer(None, after=SILENCE)
    found = other.send(None)
    assert isinstance(found, Exchange)
    assert (run.exchange.broker, found.broker) == (1, 1)


def test_a_single_broker_gets_the_request_again() -> None:
    run = Run(GET)
    run.answer(None, after=SILENCE)
    assert run.exchange.broker == 0


@pytest.mark.parametrize(("operation", "effect"), [(GET, ""), (PUT, "may have taken effect")])
def test_an_operation_fails_at_its_deadline(operation: StoreOperation, effect: str) -> None:
    run = Run(operation)
    with pytest.raises(UnavailableError, match=r"after 5\.2 s: no broker answered") as caught:
        run.answer(None, after=5.2)
    assert ("effect" in str(caught.value)) is bool(effect)
    assert effect in str(caught.value)
    assert (caught.value.code, caught.value.attempts) == ("DeadlineExceeded", 1)


def test_an_operation_that_was_not_sent_had_no_effect() -> None:
    with pytest.raises(UnavailableError, match="before it was sent") as caught:
        Run(PUT, seconds=0.0)
    assert "effect" not in str(caught.value)


def test_a_broker_that_stops_is_left_after_a_short_wait() -> None:
    run = Run(GET, brokers=2)
    run.answer(Failed("UnavailableError", "the broker stops", "Stopping"))
    assert isinstance(run.step, Sleep)
    run.answer(None)
    assert run.exchange.broker == 1


def test_the_pages_of_a_query_are_requested_one_after_the_other() -> None:
    run = Run(Query(SPECS, "u", limit=3))
    items = [Item({**KEY, "id": str(number)}) for number in range(3)]
    after = {"sub": "u", "updated_at_id": "x"}
    run.answer(Items(items[:2], after))
    body = cast("messages.Query", run.request.body)
    assert (body.after, body.limit) == (after, 1)
    assert [item["id"] for item in run.answer(Items(items[2:]))] == ["0", "1", "2"]


def test_a_page_restarts_the_deadline_of_an_unbounded_call() -> None:
    run = Run(Query(SPECS, "u"))
    run.deadline = Deadline(5.0, renewable=True, clock=lambda: run.now)
    run._steps = run.requests.execute(Query(SPECS, "u"), run.deadline)
    next(run._steps)
    run.answer(Items([], {"sub": "u", "updated_at_id": "x"}), after=3.0)
    assert run.request.seconds == 5.0


@pytest.mark.parametrize("answer", [Executed(), Items([])])
def test_an_answer_of_another_kind_is_an_error(answer: messages.AnswerBody) -> None:
    run = Run(GET)
    with pytest.raises(UnavailableError, match="another kind of answer"):
        run.answer(answer)


def test_a_value_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(RefusedError, match="was not sent"):
        Run(Transact((Put(SPECS, {**KEY, "model_count": 2**70}),), "t"))


def test_a_transaction_without_a_token_gets_one() -> None:
    body = Run(PUT._replace(token="")).request.body
    assert isinstance(body, messages.Transact)
    assert len(body.token) == 32


@pytest.mark.parametrize(
    ("name", "class_"),
    [
        ("RefusedError", RefusedError),
        ("ConflictError", ConflictError),
        ("NotFoundError", NotFoundError),
        ("SystemExit", UnavailableError),
    ],
)
def test_an_error_has_the_class_that_the_broker_named(name: str, class_: type[BaseError]) -> None:
    error = to_error(Failed(name, "text", "Code", "id", 2, 1.5))
    assert (type(error), str(error)) == (class_, "text")
    if not isinstance(error, NotFoundError):
        assert vars(error) == {"code": "Code", "request_id": "id", "attempts": 2, "seconds": 1.5}
