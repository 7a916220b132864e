"""Network errors by botocore's names, so that both HTTP clients report the same codes."""

from __future__ import annotations

from ..retry import Failure
from ..traceback_redaction import without_frames


class ExchangeError(Exception):
    """There was no usable response.

    Attributes:
        code: The code of the ``Failure``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def failure(self) -> Failure:
        """Returns the failure of the attempt."""
        without_frames(self)
        return Failure(self.code, answered=False, cause=self)


def not_connected(error: OSError | UnicodeError) -> ExchangeError:
    """Returns the error for an exception of opening a connection."""
    if isinstance(error, TimeoutError):
        return ExchangeError("ConnectTimeoutError", "connecting took too long")
    # By the name of its module, which is loaded only for TLS.
    code = "SSLError" if type(error).__module__ == "ssl" else "EndpointConnectionError"
    return ExchangeError(code, str(error))


def interrupted(error: OSError) -> ExchangeError:
    """Returns the error for an exception of an open connection."""
    if isinstance(error, TimeoutError):
        return ExchangeError("ReadTimeoutError", "no response before the deadline")
    return ExchangeError("ConnectionClosedError", str(error))
