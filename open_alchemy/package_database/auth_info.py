"""``CredentialsAuthInfo``, apart from the other types: importing ``dataclasses`` would take a fifth of a cold start."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CredentialsAuthInfo:
    """Whose credentials these are, and what is needed to check a secret key against them."""

    sub: str
    secret_key_hash: bytes = field(repr=False)
    salt: bytes = field(repr=False)
