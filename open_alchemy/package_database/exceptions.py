"""Every error that a caller of the package can see.

A driver's exception never reaches a caller: it is the ``__cause__`` of one of these. No message
holds a secret key hash or a salt.
"""


class BaseError(Exception):
    """The base of every error that the package raises."""


class ConfigurationError(BaseError):
    """The environment does not say, or says wrongly, which store to use."""


class ValidationError(BaseError, ValueError):
    """An argument cannot be stored; raised before any I/O."""


class NotFoundError(BaseError):
    """The named thing is not there, where the function promises one."""


class ConflictError(BaseError):
    """The race against other writers was lost until the deadline, or one public key is claimed twice."""


class RefusedError(BaseError):
    """The store refuses, and asking again will not help: no such table, access denied, no credentials.

    Attributes:
        code: The store's own code of the error, such as ``ResourceNotFoundException``.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class UnavailableError(BaseError):
    """The store did not answer, or refused for load, after the retries."""
