"""The errors of a transaction that can be tried again: ``transaction.attempts`` and ``pyramid_retry`` repeat it."""

from __future__ import annotations

from transaction.interfaces import TransientError

from ..exceptions import ConflictError


class RetryError(ConflictError, TransientError):  # type: ignore[misc]
    """Another transaction was in the way."""


class ShardMovedError(RetryError):
    """The shard of the session is on another server by now."""
