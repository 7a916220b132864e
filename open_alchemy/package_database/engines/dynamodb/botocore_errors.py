"""Translates botocore's exceptions."""

from __future__ import annotations

from typing import Final

from .retry import Failure
from .traceback_redaction import without_frames

_PARSING: Final = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What botocore's parsers raise for a response of another structure than its model of the service."""


def failure_of(error: Exception) -> Failure:
    """Returns the failure of an attempt that ended with an exception instead of a response."""
    without_frames(error)
    if isinstance(error, _PARSING):
        return Failure("ResponseParserError", answered=False, cause=error)
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
