"""An HTTP answer as its bytes arrive, for the blocking and the awaiting transport."""

from __future__ import annotations

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from ....core.secret import Secret
from .errors import ExchangeError

_FIRST_FINAL_STATUS: Final = 200


class Answer:
    """One answer: feed it what arrives until it is complete.

    Attributes:
        headers: By their names in lower case.
        is_begun: Whether a byte has arrived.
        is_complete: Whether all of it has arrived.
        keeps_connection: Whether, when it is complete, the connection may be used again.
    """

    __slots__ = ("_chunks", "_parser", "headers", "is_begun", "is_complete", "keeps_connection")

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self.is_begun = self.is_complete = self.keeps_connection = False

    @property
    def status(self) -> int:
        """The status code."""
        return self._parser.get_status_code()

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self._chunks))

    @property
    def body(self) -> bytes:
        """The body, which may hold secrets."""
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def feed(self, data: bytes) -> bool:
        """Takes what arrived, nothing where the connection was closed; returns whether the answer is complete.

        Raises:
            ExchangeError: It is no HTTP, or ends too early.
        """
        if not data:
            raise self.cut_off()
        self.is_begun = True
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            # The callbacks below raise nothing of their own: a signal handler did.
            raise (error.__context__ or error) from None
        except (HttpParserError, HttpParserUpgrade) as error:
            raise ExchangeError("ResponseParserError", f"no HTTP answer: {error}") from None
        return self.is_complete

    def cut_off(self) -> ExchangeError:
        """Returns what it means that the connection was closed before the answer was complete."""
        if self.is_begun:
            return ExchangeError("IncompleteReadError", "the connection was closed inside an answer")
        return ExchangeError("ConnectionClosedError", "the connection was closed without an answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._chunks.append(Secret(body))

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self.status < _FIRST_FINAL_STATUS:
            # Only says that the answer is still to come (RFC 9110, 15.2).
            self.headers.clear()
            self._chunks.clear()
            return
        # Bytes behind the end would begin a second answer: nothing that comes after can be trusted.
        self.keeps_connection = not self.is_complete and self._parser.should_keep_alive()
        self.is_complete = True
