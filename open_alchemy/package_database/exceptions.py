"""Every error that a caller of the package can see.

A driver's exception is only the ``__cause__`` of one of these. No message contains a secret key hash or a salt.
"""


class BaseError(Exception):
    """The base of every error that the package raises."""


class ConfigurationError(BaseError):
    """A URL, a file or a variable is missing or invalid."""


class ValidationError(BaseError, ValueError):
    """An argument cannot be stored; raised before any I/O."""


class NotFoundError(BaseError):
    """The named object does not exist, where the function promises one."""


class StoreError(BaseError):
    """The base of the errors of a request to a store.

    Attributes:
        code: The store's code of the error, such as ``ResourceNotFoundException``; empty if there is none.
        request_id: AWS's id of the last attempt, if it was answered.
        attempts: How many times the request was sent; 0 if it was not sent.
        seconds: The time since the call began.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        request_id: str | None = None,
        attempts: int = 0,
        seconds: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id
        self.attempts = attempts
        self.seconds = seconds


class ConflictError(StoreError):
    """Other writers prevented a write until the deadline, or a public key is in use by other credentials."""


class RefusedError(StoreError):
    """The store refuses and a retry will not help: no such table, access denied, no credentials, a damaged item."""


class UnavailableError(StoreError):
    """The store did not answer, sent a malformed response, or throttled, after the retries."""
