"""Bytes that do not show themselves.

Secret key hashes and salts travel through the package as ``Secret``, so that no repr, no log line and no local
variable shown in a traceback holds them. ``bytes(secret)`` is the way out.
"""

from __future__ import annotations


class Secret(bytes):
    """Bytes whose repr tells only their number."""

    def __repr__(self) -> str:
        return f"<{len(self)} secret bytes>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)
