"""What botocore's exceptions mean."""

from __future__ import annotations

from .retry import Failure
from .traceback_redaction import without_frames


def failure_of(error: Exception) -> Failure:
    """Returns the failure of an attempt that botocore gave up, for whatever reason, before DynamoDB answered."""
    without_frames(error)
    return Failure(type(error).__name__, answered=not _is_transient(error), cause=error)


def _is_transient(error: Exception) -> bool:
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    return isinstance(
        error,
        ResponseParserError
        | exceptions.ConnectionError
        | exceptions.HTTPClientError
        | exceptions.ChecksumError
        | exceptions.IncompleteReadError,
    )
