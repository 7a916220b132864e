"""Decides whether and when a failed attempt is repeated, by the rules of botocore's ``standard`` retry mode.

Has no clock, no sleep and no randomness of its own.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from itertools import repeat
from typing import Any, Final, NamedTuple

from ...core.backoff import full_jitter

MAX_ATTEMPTS: Final = 4
"""Attempts at one request, including the first."""
LONGEST_DELAY: Final = 20.0
_FIRST_DELAY: Final = 0.025
_FIRST_THROTTLED_DELAY: Final = 1.0
_LONGEST_CONFLICT_DELAY: Final = 0.4
_MAX_RETRY_AFTER: Final = 5.0

QUOTA: Final = 500
_RETRY_COST: Final = 14
_THROTTLED_RETRY_COST: Final = 5
SUCCESS_INCREMENT: Final = 1

POOL_TIMEOUT: Final = "PoolTimeoutError"
"""The code of a request that waited for a connection until the deadline. The wait is no attempt and costs no quota."""
CERTIFICATE_ERROR: Final = "SSLCertVerificationError"
"""The code of a TLS handshake that failed because the server's certificate is not valid for the host."""
_TRANSIENT_CODES: Final = frozenset({"RequestTimeout", "RequestTimeoutException", "InternalServerError"})
_TRANSIENT_STATUSES: Final = frozenset({500, 502, 503, 504})
_THROTTLING_CODES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_CONFLICT_CODES: Final = frozenset({"TransactionConflict", "TransactionConflictException"})
_TOO_MANY_REQUESTS: Final = 429


_CODE: Final = r"(?a)[\w.#:-]{1,200}"
_LONGEST_MILLISECONDS: Final = 9


class Kind(Enum):
    """The kinds of failures, by what they mean for the next attempt."""

    NOT_SENT = "no connection was free until the deadline"
    TRANSIENT = "no usable response"
    THROTTLED = "throttled"
    CONFLICT = "conflict with another transaction"
    CHECKED = "a condition does not hold"
    REFUSED = "refused permanently"


class Failure(NamedTuple):
    """An attempt that failed.

    Attributes:
        code: DynamoDB's error code, or botocore's name of the network error.
        status: The HTTP status, if there was a response.
        request_id: AWS's id of the request, if there was a response.
        reasons: Why a transaction was cancelled, in the order of its actions; each has a ``Code``.
        retry_after: The delay in seconds that the response asks for.
        answered: Whether DynamoDB or the client refused; False if there was no usable response.
        is_skewed: Whether it was refused because this machine's clock is wrong, which the next attempt corrects.
        detail: An explanation that the code does not give, for the message.
        cause: The driver's exception.
    """

    code: str
    status: int | None = None
    request_id: str | None = None
    reasons: tuple[dict[str, Any], ...] = ()
    retry_after: float | None = None
    answered: bool = True
    is_skewed: bool = False
    detail: str = ""
    cause: BaseException | None = None

    def __repr__(self) -> str:
        return f"Failure(code={self.code!r}, status={self.status}, request_id={self.request_id!r})"

    @property
    def kind(self) -> Kind:
        """The kind of the failure."""
        if self.code == "TransactionCanceledException":
            return _cancelled(tuple(reason["Code"] for reason in self.reasons))
        return _classify(self.code, self.status, answered=self.answered and not self.is_skewed)


def refusal(
    status: int,
    error: object,
    headers: Mapping[str, str],
    reasons: object,
    *,
    is_skewed: bool = False,
    cause: BaseException | None = None,
) -> Failure:
    """Returns the failure that an error response means.

    Everything in it is the server's and may be malformed: what is not as AWS specifies counts as absent, and nothing
    but names of errors gets into messages.

    Args:
        status: The HTTP status.
        error: The error code, with or without a namespace before ``#``.
        headers: The headers by their names in lower case.
        reasons: The member ``CancellationReasons``.
        is_skewed: See ``Failure``.
        cause: See ``Failure``.
    """
    milliseconds = headers.get("x-amz-retry-after", "")
    is_number = milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) <= _LONGEST_MILLISECONDS
    request_id = headers.get("x-amzn-requestid", "")
    return Failure(
        code=error_code(error, status),
        status=status,
        request_id=request_id if re.fullmatch(_CODE, request_id) else None,
        reasons=_cancellation_reasons(reasons),
        retry_after=int(milliseconds) / 1000 if is_number else None,
        is_skewed=is_skewed,
        cause=cause,
    )


def error_code(error: object, status: int) -> str:
    """Returns the error code of a response without its namespace; the status if there is none."""
    is_code = isinstance(error, str) and re.fullmatch(_CODE, error)
    return (str(error).rpartition("#")[2] if is_code else "") or str(status)


def _cancellation_reasons(reasons: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(reasons, list):
        return ()
    found: list[dict[str, Any]] = []
    for reason in reasons:
        code = reason.get("Code", "None") if isinstance(reason, dict) else None
        if not isinstance(code, str) or not re.fullmatch(_CODE, code):
            return ()
        found.append({**reason, "Code": code})
    return tuple(found)


def _classify(code: str, status: int | None, *, answered: bool = True) -> Kind:
    if code == POOL_TIMEOUT:
        return Kind.NOT_SENT
    if code in _THROTTLING_CODES or status == _TOO_MANY_REQUESTS:
        return Kind.THROTTLED
    if code in _CONFLICT_CODES:
        return Kind.CONFLICT
    if not answered or code in _TRANSIENT_CODES or status in _TRANSIENT_STATUSES:
        return Kind.TRANSIENT
    return Kind.REFUSED


def _cancelled(codes: tuple[str, ...]) -> Kind:
    """Returns the kind of a cancelled transaction. A failed condition takes precedence over every other reason."""
    kinds = {_classify(code, None) for code in codes if code not in ("None", "ConditionalCheckFailed")}
    if "ConditionalCheckFailed" in codes:
        return Kind.CHECKED
    for kind in (Kind.REFUSED, Kind.THROTTLED, Kind.TRANSIENT, Kind.CONFLICT):
        if kind in kinds:
            return kind
    return Kind.REFUSED


class Quota:
    """The retry quota that all calls of an engine share: a token bucket, so that retries do not overload a store.

    There is no lock that an exception of a signal handler could leave locked: each change is one operation of a deque,
    which other threads cannot interrupt. An interrupted ``acquire`` loses a few tokens, which successes restore.
    """

    def __init__(self) -> None:
        self._tokens = deque(repeat(None, QUOTA), QUOTA)

    @property
    def left(self) -> int:
        """How much is left."""
        return len(self._tokens)

    def acquire(self, cost: int) -> bool:
        """Subtracts ``cost`` and returns True, or returns False if less is left."""
        for taken in range(cost):
            try:
                self._tokens.pop()
            except IndexError:
                self.release(taken)
                return False
        return True

    def release(self, amount: int) -> None:
        """Adds ``amount``."""
        self._tokens.extend(repeat(None, amount))


class Retries:
    """The attempts of one request."""

    def __init__(self, quota: Quota, random: Callable[[], float]) -> None:
        self._quota = quota
        self._random = random
        self._acquired = 0
        self._faults = 0
        self._conflicts = 0

    def delay(self, failure: Failure) -> float | None:
        """Returns the seconds to wait before the next attempt, or None if there must be none.

        A conflict between transactions is not a fault: it costs no quota, and only the call's deadline ends it.
        """
        delay: float | None
        match failure.kind:
            case Kind.CONFLICT:
                self._acquired = 0
                delay = conflict_delay(self._conflicts, self._random)
                self._conflicts += 1
            case Kind.TRANSIENT:
                delay = self._fault(_FIRST_DELAY, _RETRY_COST)
            case Kind.THROTTLED:
                delay = self._fault(_FIRST_THROTTLED_DELAY, _THROTTLED_RETRY_COST)
            case _:
                return None
        if delay is None or failure.retry_after is None:
            return delay
        return max(delay, min(failure.retry_after, delay + _MAX_RETRY_AFTER))

    def succeeded(self) -> None:
        """Releases the quota of the last retry."""
        self._quota.release(self._acquired or SUCCESS_INCREMENT)

    def withdraw(self, delay: float | None) -> None:
        """Releases the quota of a retry that was granted and is not made."""
        if delay is not None:
            self._quota.release(self._acquired)

    def _fault(self, first: float, cost: int) -> float | None:
        if self._faults + 1 >= MAX_ATTEMPTS or not self._quota.acquire(cost):
            return None
        self._acquired = cost
        self._faults += 1
        return full_jitter(first, self._faults - 1, LONGEST_DELAY, self._random)


def conflict_delay(attempt: int, random: Callable[[], float]) -> float:
    """Returns the seconds to wait after a conflict with other writers."""
    return full_jitter(_FIRST_DELAY, attempt, _LONGEST_CONFLICT_DELAY, random)
