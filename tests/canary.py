"""Secrets that are easy to find again, and the search for what betrays them."""

from __future__ import annotations

import base64

HASH = b"canary-of-the-hash"
SALT = b"canary-of-the-salt"


def _traces(secret: bytes) -> list[str]:
    """Returns what would betray a secret: the text itself, its hexadecimal digits and its base64 in each alignment."""
    encoded = [base64.b64encode(b"x" * shift + secret).decode().rstrip("=")[4:-2] for shift in range(3)]
    return [secret.decode(), secret.hex(), secret.hex(" "), *encoded]


_TRACES = _traces(HASH) + _traces(SALT)


def find(text: str) -> list[str]:
    """Returns what in a text betrays a secret."""
    return [trace for trace in _TRACES if trace in text]
