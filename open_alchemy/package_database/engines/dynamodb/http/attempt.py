"""One attempt at a request: renders and signs it, and reads the response, for both transports.

An attempt is a generator that yields ``FetchCredentials``, ``Exchange`` or ``Parse`` and is sent the result. It does no
I/O, and its clock is injected.

DynamoDB's protocol is JSON over ``POST /``; its low-level API names the headers and the checksum.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple
from zlib import crc32

from ....core.deadline import Deadline
from ....core.secret import Secret
from ..config import Credentials
from ..execution import Response
from ..requests import Request
from ..retry import Failure, error_code, refusal
from ..traceback_redaction import without_frames
from .body_codec import BodyCodec
from .credentials import Source
from .endpoint import Endpoint
from .response import HttpResponse
from .signature_v4 import Key, Moment, Signer
from .transport_errors import ExchangeError

_CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_VERSION: Final = "DynamoDB_20120810"
_REQUEST_LINES: Final = "POST\n/\n"
_OK: Final = 200
_LARGE: Final = 100_000
"""Bytes of a body that take about a millisecond to parse: too long for an event loop."""

_SKEW_CODES: Final = frozenset({"InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed"})
_LARGEST_SKEW: Final = 240.0
"""Seconds of skew at which signatures are still accepted, with a margin of one minute (AWS: 5 minutes)."""


class FetchCredentials(NamedTuple):
    """Fetch credentials from their source. Result: ``Credentials``, or a ``Failure``."""

    deadline: Deadline


class Exchange(NamedTuple):
    """Send a request and receive the response. Result: the ``HttpResponse``, or a ``Failure``.

    Attributes:
        render: Returns the whole HTTP request. Called when a connection is free, so that requests that wait for one
            are signed when they are sent. Raises ``ExchangeError``.
        deadline: The deadline of the call.
    """

    render: Callable[[], Secret]
    deadline: Deadline


class Parse(NamedTuple):
    """Parse a large response, which takes milliseconds. Result: what ``HttpAttempts.read`` returns."""

    response: HttpResponse
    skew: float
    deadline: Deadline


class _Head(NamedTuple):
    """The head of all requests of one second with the same action and credentials.

    Attributes:
        start: The head up to the length of the body, which the signature follows.
        signer: Signs the requests.
    """

    start: Secret
    signer: Signer


class _Second(NamedTuple):
    """What all requests of one second and one set of credentials share. ``heads`` are added by action when needed."""

    seconds: int
    credentials: Credentials
    moment: Moment
    key: Key
    heads: dict[str, _Head]


class HttpAttempts:
    """The attempts at requests to one endpoint: signs requests, reads responses, and corrects the clock's skew.

    Safe for many threads: its state is replaced as a whole.

    Args:
        endpoint: The endpoint.
        source: The source of the credentials.
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
        self._codec = BodyCodec()
        self._second: _Second | None = None
        self._skew = 0.0

    def attempt(
        self, action: str, request: Request, deadline: Deadline
    ) -> Generator[FetchCredentials | Exchange | Parse, Any, Response | Failure]:
        """Returns the steps of an attempt; they return the response, its binary values as ``Secret``, or a failure."""
        credentials = self._source.cached()
        if credentials is None:
            fetched: Credentials | Failure = yield FetchCredentials(deadline)
            if isinstance(fetched, Failure):
                return fetched
            credentials = fetched
        # Other attempts may correct the skew before this response arrives.
        skew = self._skew
        render = partial(self.render, action, request, credentials, skew)
        response: HttpResponse | Failure = yield Exchange(render, deadline)
        if isinstance(response, Failure):
            return response
        if response.size > _LARGE:
            parsed: Response | Failure = yield Parse(response, skew, deadline)
            return parsed
        return self.read(response, skew)

    def render(self, action: str, request: Request, credentials: Credentials, skew: float = 0.0) -> Secret:
        """Returns the bytes of a signed HTTP request; raises ``ExchangeError`` near the recursion limit.

        Args:
            action: DynamoDB's action.
            request: Its parameters.
            credentials: The credentials that sign it.
            skew: The seconds that this machine's clock is behind.
        """
        try:
            return self._sign(action, request, credentials, int(self._clock() + skew))
        except RecursionError as error:
            # The frames contain the signature and the session token.
            without_frames(error)
            raise ExchangeError("RecursionError", "the recursion limit is exceeded") from error

    def _sign(self, action: str, request: Request, credentials: Credentials, seconds: int) -> Secret:
        second = self._of_second(seconds, credentials)
        head = second.heads.get(action) or self._make_head(second, action)
        body = Secret(self._codec.encode(request))
        rest = f"{len(body)}\r\nAuthorization: {head.signer.authorization(body)}\r\n\r\n"
        return Secret(head.start + rest.encode("latin-1") + body)

    def _make_head(self, second: _Second, action: str) -> _Head:
        host, token = self._endpoint.authority, second.credentials.session_token
        timestamp, target = second.moment.timestamp, f"{_VERSION}.{action}"
        signed_token, named_token, sent_token = (
            (f"\nx-amz-security-token:{token}", ";x-amz-security-token", f"X-Amz-Security-Token: {token}\r\n")
            if token
            else ("", "", "")
        )
        signer = Signer.of(
            second.key,
            second.moment,
            _REQUEST_LINES,
            f"content-type:{_CONTENT_TYPE}\nhost:{host}\nx-amz-date:{timestamp}{signed_token}\nx-amz-target:{target}",
            f"content-type;host;x-amz-date{named_token};x-amz-target",
        )
        start = (
            f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: {_CONTENT_TYPE}\r\nX-Amz-Date: {timestamp}\r\n"
            f"{sent_token}X-Amz-Target: {target}\r\nUser-Agent: {self._agent}\r\nAccept-Encoding: identity\r\n"
            "Content-Length: "
        )
        head = second.heads[action] = _Head(Secret(start.encode("latin-1")), signer)
        return head

    def read(self, response: HttpResponse, skew: float = 0.0) -> Response | Failure:
        """Returns the content of a complete response, its binary values as ``Secret``, or a failure.

        Args:
            response: The complete response.
            skew: The skew that the request was signed with.
        """
        body = response.body
        expected = response.headers.get(b"x-amz-crc32")
        if expected is not None and expected != b"%d" % crc32(body):
            return ExchangeError("ChecksumError", "the checksum of the response is not that of its body").failure()
        content = self._codec.decode(body)
        if response.status != _OK:
            return self._refusal(response, content or {}, skew)
        if content is None:
            return ExchangeError("ResponseParserError", "the body is not a JSON object").failure()
        request_id = response.headers.get(b"x-amzn-requestid")
        if request_id is not None:
            # As boto3 does.
            content["ResponseMetadata"] = {"RequestId": request_id.decode("latin-1")}
        return content

    def _refusal(self, response: HttpResponse, content: Mapping[str, Any], skew: float) -> Failure:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers.items()}
        error = content.get("__type")
        is_skewed = error_code(error, response.status) in _SKEW_CODES and self._corrects(headers.get("date", ""), skew)
        return refusal(response.status, error, headers, content.get("CancellationReasons"), is_skewed=is_skewed)

    def _corrects(self, date: str, skew: float) -> bool:
        """Sets the skew from the date of a response; returns whether the request's skew was wrong."""
        from email.utils import parsedate_to_datetime

        try:
            found = parsedate_to_datetime(date).timestamp() - self._clock()
        except (ValueError, TypeError, IndexError, OverflowError, OSError):
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
        self._second = _Second(seconds, credentials, moment, key, {})
        return self._second
