"""An HTTP answer as its bytes arrive, for the blocking and the awaiting transport."""

from __future__ import annotations

from httptools import HttpParserError, HttpResponseParser

from ....secret import Secret


class BrokenAnswerError(Exception):
    """What arrived is no HTTP answer, or only a part of one.

    Attributes:
        code: Its name as a ``Failure``'s code; botocore's names for the same.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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
    def body(self) -> bytes:
        """The body, which may hold secrets."""
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def feed(self, data: bytes) -> bool:
        """Takes what arrived, nothing where the connection was closed; returns whether the answer is complete.

        Raises:
            BrokenAnswerError: It is no HTTP, or ends too early.
        """
        if not data:
            raise self.cut_off()
        self.is_begun = True
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            raise BrokenAnswerError("ResponseParserError", f"no HTTP answer: {error}") from None
        return self.is_complete

    def cut_off(self) -> BrokenAnswerError:
        """Returns what it means that the connection was closed before the answer was complete."""
        if self.is_begun:
            return BrokenAnswerError("IncompleteReadError", "the connection was closed inside an answer")
        return BrokenAnswerError("ConnectionClosedError", "the connection was closed without an answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._chunks.append(Secret(body))

    def on_message_complete(self) -> None:
        """Called by the parser."""
        # Bytes behind the end would begin a second answer: nothing that comes after can be trusted.
        self.keeps_connection = not self.is_complete and self._parser.should_keep_alive()
        self.is_complete = True
