"""Translates botocore's exceptions."""

from __future__ import annotations

from typing import Final

from .retry import CERTIFICATE_ERROR, Failure
from .traceback_redaction import without_frames

_PARSING: Final = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What botocore's parsers raise for a response of another structure than its model of the service."""
_INVALID_CERTIFICATE: Final = ("CERTIFICATE_VERIFY_FAILED", "doesn't match")
"""Messages of OpenSSL, and of urllib3 for another host's certificate: botocore has one exception for all of TLS."""


def failure_of(error: Exception) -> Failure:
    """Returns the failure of an attempt that ended with an exception instead of a response."""
    without_frames(error)
    if isinstance(error, _PARSING):
        return Failure("ResponseParserError", answered=False, cause=error)
    if any(reason in str(error) for reason in _INVALID_CERTIFICATE):
        from urllib.parse import urlsplit

        host = urlsplit(getattr(error, "kwargs", {}).get("endpoint_url", "")).hostname
        return Failure(CERTIFICATE_ERROR, detail=f"the certificate of {host} is not valid", cause=error)
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
