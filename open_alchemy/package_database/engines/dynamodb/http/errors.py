"""What goes wrong on the way, by botocore's names for the same, so that both wires speak alike."""

from __future__ import annotations

from ..retry import Failure
from ..traceback_redaction import without_frames


class ExchangeError(Exception):
    """No usable answer came.

    Attributes:
        code: What happened, as a ``Failure``'s code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def failure(self) -> Failure:
        """Returns the failure of the attempt."""
        without_frames(self)
        return Failure(self.code, answered=False, cause=self)


def not_connected(error: OSError | UnicodeError) -> ExchangeError:
    """Returns what an error of opening a connection means."""
    if isinstance(error, TimeoutError):
        return ExchangeError("ConnectTimeoutError", "connecting took too long")
    # Named by its module, which is only loaded where there is TLS.
    code = "SSLError" if type(error).__module__ == "ssl" else "EndpointConnectionError"
    return ExchangeError(code, str(error))


def interrupted(error: OSError) -> ExchangeError:
    """Returns what an error of an open connection means."""
    if isinstance(error, TimeoutError):
        return ExchangeError("ReadTimeoutError", "no answer came in time")
    return ExchangeError("ConnectionClosedError", str(error))
