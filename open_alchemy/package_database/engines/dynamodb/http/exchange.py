"""One attempt: a request as signed bytes, and the answer as a response or a failure, for both transports.

An attempt is a generator that yields what it wants done, a ``Fetch``, an ``Exchange`` or a ``Read``, and is sent the
result. It does no I/O, and its clock comes in.

DynamoDB speaks JSON over ``POST /``; its low-level API names the headers and the checksum.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, Final
from zlib import crc32

from ....core.deadline import Deadline
from ....core.secret import Secret
from ....record import record
from ..config import Credentials
from ..execution import Response
from ..requests import Request
from ..retry import Failure
from .credentials import Source
from .endpoint import Endpoint
from .errors import ExchangeError
from .response import Answer
from .signature_v4 import Key, Moment, authorization

_CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_VERSION: Final = "DynamoDB_20120810"
_REQUEST_LINES: Final = "POST\n/\n"
_OK: Final = 200
_LARGE: Final = 100_000
"""Bytes of an answer that take about a millisecond to read, ten times what a loop does in one go."""

_SKEW_CODES: Final = frozenset({"InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed"})
_LARGEST_SKEW: Final = 240.0
"""Seconds that a clock may be off before signatures are refused, with a minute to spare (AWS: 5 minutes)."""


def _binary(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    raise TypeError(f"a request holds no {type(value).__name__}")


_encode = json.JSONEncoder(separators=(",", ":"), default=_binary).encode


@record
class Fetch:
    """Have the source fetch credentials. Result: ``Credentials``, or a ``Failure``."""

    deadline: Deadline


@record
class Exchange:
    """Send a request and receive the answer. Result: the ``Answer``, or a ``Failure``.

    Attributes:
        render: Returns the whole HTTP request. Called when a connection is free, so that requests that wait for one
            are signed when they are sent.
        deadline: The call's.
    """

    render: Callable[[], Secret]
    deadline: Deadline


@record
class Read:
    """Read a large answer, which takes milliseconds. Result: what ``Core.read`` returns."""

    answer: Answer
    skew: float
    deadline: Deadline


@record
class _Second:
    """What all requests of one second and one set of credentials share."""

    seconds: int
    credentials: Credentials
    moment: Moment
    key: Key


class Core:
    """One endpoint's attempts. It remembers how far this machine's clock is off.

    Safe to use from many threads: what it remembers is replaced as a whole.

    Args:
        endpoint: Where DynamoDB is.
        source: Whose signature requests get.
        agent: The value of the header ``User-Agent``.
        clock: Returns the seconds since the epoch.
    """

    def __init__(
        self, endpoint: Endpoint, source: Source, *, agent: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._endpoint = endpoint
        self._source = source
        self._agent = agent
        self._clock = clock
        self._second: _Second | None = None
        self._skew = 0.0

    def attempts(
        self, action: str, request: Request, deadline: Deadline
    ) -> Generator[Fetch | Exchange | Read, Any, Response | Failure]:
        """Returns the steps of an attempt; they return the response, its binary values as ``Secret``, or a failure."""
        credentials = self._source.at_hand()
        if credentials is None:
            fetched: Credentials | Failure = yield Fetch(deadline)
            if isinstance(fetched, Failure):
                return fetched
            credentials = fetched
        # Others may correct the clock before this answer comes.
        skew = self._skew
        render = partial(self.render, action, request, credentials, skew)
        answer: Answer | Failure = yield Exchange(render, deadline)
        if isinstance(answer, Failure):
            return answer
        if answer.size > _LARGE:
            read: Response | Failure = yield Read(answer, skew, deadline)
            return read
        return self.read(answer, skew)

    def render(self, action: str, request: Request, credentials: Credentials, skew: float = 0.0) -> Secret:
        """Returns the bytes of a signed HTTP request.

        Args:
            action: DynamoDB's action.
            request: Its parameters.
            credentials: Who signs.
            skew: How many seconds this machine's clock is behind.
        """
        second = self._of_second(int(self._clock() + skew), credentials)
        body = Secret(_encode(request).encode())
        host, token = self._endpoint.authority, credentials.session_token
        timestamp, target = second.moment.timestamp, f"{_VERSION}.{action}"
        signed_token, named_token, sent_token = (
            (f"\nx-amz-security-token:{token}", ";x-amz-security-token", f"X-Amz-Security-Token: {token}\r\n")
            if token
            else ("", "", "")
        )
        signature = authorization(
            second.key,
            second.moment,
            _REQUEST_LINES,
            f"content-type:{_CONTENT_TYPE}\nhost:{host}\nx-amz-date:{timestamp}{signed_token}\nx-amz-target:{target}",
            f"content-type;host;x-amz-date{named_token};x-amz-target",
            body,
        )
        head = (
            f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: {_CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
            f"X-Amz-Date: {timestamp}\r\n{sent_token}X-Amz-Target: {target}\r\nAuthorization: {signature}\r\n"
            f"User-Agent: {self._agent}\r\nAccept-Encoding: identity\r\n\r\n"
        )
        return Secret(head.encode("latin-1") + body)

    def read(self, answer: Answer, skew: float = 0.0) -> Response | Failure:
        """Returns the response of a complete answer, its binary values as ``Secret``, or what went wrong.

        Args:
            answer: All of it.
            skew: As for the request.
        """
        body = Secret(answer.body)
        expected = answer.headers.get(b"x-amz-crc32")
        if expected is not None and expected != b"%d" % crc32(body):
            return ExchangeError("ChecksumError", "the answer's checksum is not that of its body").failure()
        content = _decode(body)
        if answer.status != _OK:
            return self._refused(answer, content or {}, skew)
        if content is None:
            return ExchangeError("ResponseParserError", "the body is no JSON object").failure()
        return content

    def _refused(self, answer: Answer, content: Mapping[str, Any], skew: float) -> Failure:
        milliseconds = answer.headers.get(b"x-amz-retry-after", b"")
        request_id = answer.headers.get(b"x-amzn-requestid")
        reasons = content.get("CancellationReasons")
        code = str(content.get("__type", answer.status)).rpartition("#")[2]
        return Failure(
            code=code,
            status=answer.status,
            request_id=request_id.decode("latin-1") if request_id else None,
            reasons=tuple(reasons) if isinstance(reasons, list) else (),
            retry_after=int(milliseconds) / 1000 if milliseconds.isdigit() else None,
            is_skewed=code in _SKEW_CODES and self._corrects(answer.headers.get(b"date", b""), skew),
        )

    def _corrects(self, date: bytes, skew: float) -> bool:
        """Corrects the clock by an answer's date, and returns whether the request's was so far off."""
        from email.utils import parsedate_to_datetime

        try:
            found = parsedate_to_datetime(date.decode("latin-1")).timestamp() - self._clock()
        except ValueError:
            return False
        is_off = abs(found - skew) > _LARGEST_SKEW
        if is_off:
            self._skew = found
        return is_off

    def _of_second(self, seconds: int, credentials: Credentials) -> _Second:
        known = self._second
        if known is not None and known.seconds == seconds and known.credentials is credentials:
            return known
        moment = Moment.at(seconds)
        key = known.key if known else None
        if key is None or known is None or known.credentials is not credentials or known.moment.date != moment.date:
            key = Key.of(credentials, moment.date, self._endpoint.region, "dynamodb")
        self._second = _Second(seconds, credentials, moment, key)
        return self._second


def _decode(body: Secret) -> dict[str, Any] | None:
    """Returns the JSON object that a body is, its binary values as ``Secret``, or None where it is none."""
    try:
        content = json.loads(body)
        if isinstance(content, dict):
            # One letter is found ten times as fast as two characters.
            if body.find(b"B") >= 0 and body.find(b'"B') >= 0:
                _decode_binary(content)
            return content
    except ValueError:
        pass
    return None


def _decode_binary(content: Any) -> None:
    """Replaces every binary value of a response, in place, by a ``Secret``: JSON has it in base64."""
    places = content.items() if isinstance(content, dict) else enumerate(content)
    for place, value in places:
        if place == "B" and isinstance(value, str):
            content[place] = Secret(b64decode(value))
        elif place == "BS" and isinstance(value, list):
            content[place] = [Secret(b64decode(binary)) for binary in value]
        elif isinstance(value, dict | list):
            _decode_binary(value)
