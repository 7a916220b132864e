"""Bytes without a readable repr.

Secret key hashes and salts are ``Secret`` inside the package, so that no repr, log record or local variable in a
traceback shows them. ``bytes(secret)`` returns the plain bytes.
"""

from __future__ import annotations


class Secret(bytes):
    """Bytes whose repr contains only their length."""

    def __repr__(self) -> str:
        return f"<{len(self)} secret bytes>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)
