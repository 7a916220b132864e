"""All exceptions that the package raises.

A driver's exception is only the ``__cause__`` of one of these. No message contains a secret key hash or a salt.
"""

from typing import Any


class BaseError(Exception):
    """The base of every error that the package raises."""


class ConfigurationError(BaseError):
    """A URL, a file or an environment variable is missing or invalid."""


class ValidationError(BaseError, ValueError):
    """An argument cannot be stored; raised before any I/O."""


class NotFoundError(BaseError, KeyError):
    """The function requires an object that does not exist, such as the spec of ``list_spec_versions``."""

    # That of KeyError returns the repr of the message.
    __str__ = Exception.__str__


class StoreError(BaseError):
    """The base of the errors that a request to a store raises.

    Attributes:
        code: The error code of the store, such as ``ResourceNotFoundException``; empty if there is none.
        request_id: The AWS request id of the last attempt; None if it had no response.
        attempts: The number of times that the request was sent; 0 if it was not sent.
        seconds: The time since the start of the call.
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
    """Other writers prevented a write, or a public key is in use by other credentials.

    Attributes:
        newer: The newest version of the spec of ``update_spec``, if it was published since it was read: a
            ``TSpecSnapshot``, or for the ``update`` of an object a ``Spec`` or ``AsyncSpec``. Otherwise None.
    """

    newer: Any = None


class RefusedError(StoreError):
    """The store refused, and a retry will not help: missing table, access denied, missing credentials, damaged item."""


class UnavailableError(StoreError):
    """The store did not respond, sent a malformed response, or throttled, also after the retries."""
