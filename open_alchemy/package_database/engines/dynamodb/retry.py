"""When a failed request is tried again, and how long it waits: the rules of botocore's ``standard`` retry mode.

No clock, no sleep and no randomness of its own: they come in.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from ...core.backoff import full_jitter
from ...record import hidden, record

MAX_ATTEMPTS: Final = 4
"""Of one request, the first included."""
LONGEST_DELAY: Final = 20.0
_FIRST_DELAY: Final = 0.025
_FIRST_THROTTLED_DELAY: Final = 1.0
_LONGEST_CONFLICT_DELAY: Final = 0.4
_MAX_RETRY_AFTER: Final = 5.0

QUOTA: Final = 500
_RETRY_COST: Final = 14
_THROTTLED_RETRY_COST: Final = 5
_SUCCESS_INCREMENT: Final = 1

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


class Kind(Enum):
    """What a failure means for the next attempt."""

    NOT_SENT = "no connection was free until the deadline"
    TRANSIENT = "no usable answer"
    THROTTLED = "refused for load"
    CONFLICT = "another transaction was in the way"
    CHECKED = "a condition does not hold"
    REFUSED = "refused for good"


@record
class Failure:
    """An attempt that failed.

    Attributes:
        code: DynamoDB's error code, or the name of what went wrong on the way.
        status: The HTTP status, where there was an answer.
        request_id: AWS's id of the request, where there was an answer.
        reasons: Why a transaction was cancelled: DynamoDB's reasons, one for each action.
        retry_after: How many seconds the answer asks to wait.
        answered: Whether DynamoDB or the client refused; else no usable answer came.
        is_skewed: Whether it was refused because this machine's clock is off, which the next attempt makes up for.
        detail: What the code does not say, for the message.
        cause: The driver's exception.
    """

    code: str
    status: int | None = None
    request_id: str | None = None
    reasons: tuple[dict[str, Any], ...] = hidden(default=())
    retry_after: float | None = None
    answered: bool = True
    is_skewed: bool = False
    detail: str = ""
    cause: BaseException | None = hidden(default=None)

    @property
    def kind(self) -> Kind:
        """What the failure means for the next attempt."""
        if self.code == "TransactionCanceledException":
            return _cancelled(tuple(reason.get("Code", "None") for reason in self.reasons))
        return _classify(self.code, self.status, answered=self.answered and not self.is_skewed)


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
    """Returns the kind of a cancelled transaction: a condition that does not hold says most."""
    kinds = {_classify(code, None) for code in codes if code not in ("None", "ConditionalCheckFailed")}
    if "ConditionalCheckFailed" in codes:
        return Kind.CHECKED
    for kind in (Kind.REFUSED, Kind.THROTTLED, Kind.TRANSIENT, Kind.CONFLICT):
        if kind in kinds:
            return kind
    return Kind.REFUSED


class Quota:
    """The retries that all calls of a process share, so that they do not storm a store that is down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = QUOTA

    def acquire(self, cost: int) -> bool:
        """Takes ``cost`` where so much is left, and returns whether it was."""
        with self._lock:
            if self._left < cost:
                return False
            self._left -= cost
            return True

    def release(self, amount: int) -> None:
        """Gives ``amount`` back."""
        with self._lock:
            self._left = min(QUOTA, self._left + amount)


class Retries:
    """The attempts of one request."""

    def __init__(self, quota: Quota, random: Callable[[], float]) -> None:
        self._quota = quota
        self._random = random
        self._acquired = 0
        self._faults = 0
        self._conflicts = 0

    def delay(self, failure: Failure) -> float | None:
        """Returns how many seconds to wait before the next attempt, or None where there is to be none.

        A conflict between transactions is a lost race and not a fault: it costs no quota, and only the call's deadline
        ends it.
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
        """Gives the quota of the last retry back."""
        self._quota.release(self._acquired or _SUCCESS_INCREMENT)

    def withdraw(self, delay: float | None) -> None:
        """Gives the quota of a retry back that was granted and is not made."""
        if delay is not None:
            self._quota.release(self._acquired)

    def _fault(self, first: float, cost: int) -> float | None:
        if self._faults + 1 >= MAX_ATTEMPTS or not self._quota.acquire(cost):
            return None
        self._acquired = cost
        self._faults += 1
        return full_jitter(first, self._faults - 1, LONGEST_DELAY, self._random)


def conflict_delay(attempt: int, random: Callable[[], float]) -> float:
    """Returns how many seconds to wait where others were served first: no fault, and no attempt that counts."""
    return full_jitter(_FIRST_DELAY, attempt, _LONGEST_CONFLICT_DELAY, random)
