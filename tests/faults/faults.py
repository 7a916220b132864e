"""The faults of a network and of DynamoDB, as functions from a request to its answer or its loss. No I/O, no clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tests.faults.backend import WRITES, Answer, Backend, Request


@dataclass(frozen=True, slots=True)
class Lost:
    """No usable answer arrives. An answer of which a part arrives is ``answer``."""

    how: Literal["reset", "cut short", "wrong checksum", "silence", "no connection"]
    answer: Answer | None = None


Outcome: TypeAlias = Answer | Lost
Fault: TypeAlias = Callable[[Backend, Request], Outcome]


def error(code: str, *, status: int = 400, **content: Any) -> Answer:
    """Returns the answer with an error of DynamoDB."""
    return Answer(status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "the message", **content})


def _without_effect(outcome: Outcome) -> Fault:
    return lambda _, __: outcome


def _after_the_effect(how: Literal["reset", "cut short", "wrong checksum", "silence"]) -> Fault:
    return lambda backend, request: Lost(how, backend.answer(request))


def _delivered_twice(backend: Backend, request: Request) -> Outcome:
    answer = backend.answer(request)
    backend.answer(request)
    return answer


def _transaction_conflict(_: Backend, request: Request) -> Outcome:
    actions = request.content.get("TransactItems")
    if actions is None:
        return error("TransactionConflictException")
    return error("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}] * len(actions))


TRANSIENT: dict[str, Fault] = {
    "throttled": _without_effect(error("ThrottlingException")),
    "provisioned throughput exceeded": _without_effect(error("ProvisionedThroughputExceededException")),
    "status 500": _without_effect(error("InternalServerError", status=500)),
    "status 503": _without_effect(error("ServiceUnavailable", status=503)),
    "transaction conflict": _transaction_conflict,
    "transaction in progress": _without_effect(error("TransactionInProgressException")),
    "reset before the effect": _without_effect(Lost("reset")),
    "reset after the effect": _after_the_effect("reset"),
    "body cut short after the effect": _after_the_effect("cut short"),
    "wrong checksum after the effect": _after_the_effect("wrong checksum"),
    "no answer, no effect": _without_effect(Lost("silence")),
    "no answer after the effect": _after_the_effect("silence"),
    "delivered twice": _delivered_twice,
}
"""Faults of one request, which the package's retry hides from the caller."""

LATE: dict[str, Fault] = {
    "a write that was lost, delivered after its retry and a later call": TRANSIENT["reset before the effect"],
    "a write that was answered, delivered again after a later call": Backend.answer,
}
"""Faults of the first write of a call, which ``Network.deliver_late`` delivers again."""

PERMANENT: dict[str, tuple[Fault, str]] = {
    "throttled": (TRANSIENT["throttled"], "UnavailableError"),
    "status 500": (TRANSIENT["status 500"], "UnavailableError"),
    "transaction conflict": (TRANSIENT["transaction conflict"], "ConflictError"),
    "transaction in progress": (TRANSIENT["transaction in progress"], "UnavailableError"),
    "reset": (TRANSIENT["reset before the effect"], "UnavailableError"),
    "body cut short": (TRANSIENT["body cut short after the effect"], "UnavailableError"),
    "wrong checksum": (TRANSIENT["wrong checksum after the effect"], "UnavailableError"),
    "no answer": (TRANSIENT["no answer, no effect"], "UnavailableError"),
    "no connection": (_without_effect(Lost("no connection")), "UnavailableError"),
    "clock skew": (_without_effect(error("InvalidSignatureException")), "RefusedError"),
    "expired credentials": (_without_effect(error("ExpiredTokenException")), "RefusedError"),
    "access denied": (_without_effect(error("AccessDeniedException")), "RefusedError"),
}
"""Faults of every request, each with the error that the caller gets."""


class Network:
    """Delivers requests to the backend, and applies a fault to the first ones. Safe to use from many threads.

    Args:
        backend: The DynamoDB.
        fault: The fault.
        times: The number of requests to which it applies; None for all.
        writes_only: Whether it applies to writes only.
    """

    def __init__(
        self, backend: Backend, fault: Fault | None = None, *, times: int | None = 1, writes_only: bool = False
    ) -> None:
        self._backend = backend
        self._fault = fault or Backend.answer
        self._left = float("inf") if times is None else times
        self._writes_only = writes_only
        self._lock = threading.Lock()
        self.delivered: list[Request] = []

    def deliver(self, request: Request) -> Outcome:
        """Returns what the client receives."""
        with self._lock:
            self.delivered.append(request)
            applies = self._left > 0 and (request.action in WRITES or not self._writes_only)
            self._left -= applies
        return self._fault(self._backend, request) if applies else self._backend.answer(request)

    def deliver_late(self) -> None:
        """Delivers the first write again."""
        self._backend.answer(next(request for request in self.delivered if request.action in WRITES))
