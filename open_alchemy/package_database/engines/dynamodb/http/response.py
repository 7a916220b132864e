"""An HTTP response while its bytes arrive, for both transports. Bounds the memory that a server can make it use."""

from __future__ import annotations

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from ....core.secret import Secret
from .transport_errors import ExchangeError

MAX_RESPONSE_BYTES: Final = 32 * 1024 * 1024
"""The largest response, its framing included.

A page of Query or Scan has at most 1 MB of items, and a cancelled transaction returns at most 4 MB of old items (AWS,
Service, account, and table quotas). JSON writes a byte of text as at most 6 (a control character, ``\\u0001``), a byte
of binary as 4/3, and adds at most 12 to an attribute, whose name counts. 4 MB of control characters are 24 MB.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""
MAX_HEAD_BYTES: Final = 64 * 1024
"""The largest head. DynamoDB sends less than 1 KB; servers commonly limit a request's head to 8 to 64 KB."""
_FIRST_FINAL_STATUS: Final = 200


class HttpResponse:
    """One response: feed it what arrives until it is complete.

    Attributes:
        status: The status code, once the head has arrived.
        headers: The headers by their names in lower case.
        is_begun: Whether a byte has arrived.
        is_complete: Whether all of it has arrived.
        keeps_connection: Whether, when it is complete, the connection may be used again.
    """

    __slots__ = (
        "_body",
        "_has_head",
        "_parser",
        "_received",
        "headers",
        "is_begun",
        "is_complete",
        "keeps_connection",
        "status",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._body = bytearray()
        self._received = self.status = 0
        self._has_head = False
        self.headers: dict[bytes, bytes] = {}
        self.is_begun = self.is_complete = self.keeps_connection = False

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return len(self._body)

    @property
    def body(self) -> bytes:
        """The body, as ``Secret``."""
        return Secret(self._body)

    def feed(self, data: bytes) -> bool:
        """Parses what arrived, empty if the connection was closed; returns whether the response is complete.

        Raises:
            ExchangeError: It is not HTTP, ends too early, or is too large.
        """
        if not data:
            raise self.cut_off()
        self.is_begun = True
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            # The callbacks below raise nothing of their own: a signal handler did.
            raise (error.__context__ or error) from None
        except (HttpParserError, HttpParserUpgrade) as error:
            raise ExchangeError("ResponseParserError", f"not an HTTP response: {error}") from None
        if self._received > (MAX_RESPONSE_BYTES if self._has_head else MAX_HEAD_BYTES):
            raise ExchangeError("ResponseTooLarge", "the response is larger than any of DynamoDB's")
        if self.is_complete:
            # The parser refers to this response: the cycle would keep both until a garbage collection.
            del self._parser
        return self.is_complete

    def cut_off(self) -> ExchangeError:
        """Returns the error for a connection that was closed before the response was complete."""
        if self.is_begun:
            return ExchangeError("IncompleteReadError", "the connection was closed during a response")
        return ExchangeError("ConnectionClosedError", "the connection was closed without a response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        # Trailers of a chunked body come after the head; DynamoDB sends none.
        if not self._has_head:
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.status = self._parser.get_status_code()
        self._has_head = self.status >= _FIRST_FINAL_STATUS

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body += body

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self.status < _FIRST_FINAL_STATUS:
            # An interim response precedes the response (RFC 9110, 15.2).
            self.headers.clear()
            return
        # Bytes after the end would begin a second response: the connection cannot be used again.
        self.keeps_connection = not self.is_complete and self._parser.should_keep_alive()
        self.is_complete = True
