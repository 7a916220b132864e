"""Errors of an exchange, with botocore's names for the same errors, so that both clients report the same."""

from __future__ import annotations

from ..retry import CERTIFICATE_ERROR, POOL_TIMEOUT, Failure
from ..traceback_redaction import without_frames


class ExchangeError(Exception):
    """No usable response was received.

    Attributes:
        code: The error code of the ``Failure``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def failure(self) -> Failure:
        """Returns the failure of the attempt."""
        without_frames(self)
        if self.code == CERTIFICATE_ERROR:
            return Failure(self.code, detail=str(self), cause=self)
        return Failure(self.code, detail=str(self), answered=False, cause=self)


def queue_timeout(connections: int) -> ExchangeError:
    """Returns the error of a request for which no connection was free until the deadline."""
    return ExchangeError(POOL_TIMEOUT, f"all {connections} connections are in use")


def not_connected(error: OSError | UnicodeError, host: str, port: int) -> ExchangeError:
    """Returns the error of a connection that could not be opened."""
    if isinstance(error, TimeoutError):
        return ExchangeError("ConnectTimeoutError", "connecting took too long")
    # By name: the module ssl is loaded only for endpoints with TLS.
    if type(error).__name__ == CERTIFICATE_ERROR:
        reason = getattr(error, "verify_message", "") or error
        return ExchangeError(CERTIFICATE_ERROR, f"the certificate of {host} is not valid: {reason}")
    if isinstance(error, ConnectionRefusedError):
        hint = f"nothing listens at {host}:{port}; package-database serve --port {port} starts a local DynamoDB"
        return ExchangeError("EndpointConnectionError", hint)
    code = "SSLError" if type(error).__module__ == "ssl" else "EndpointConnectionError"
    return ExchangeError(code, str(error))


def interrupted(error: OSError) -> ExchangeError:
    """Returns the error of a connection that failed during an exchange."""
    if isinstance(error, TimeoutError):
        return ExchangeError("ReadTimeoutError", "no answer came in time")
    return ExchangeError("ConnectionClosedError", str(error))
