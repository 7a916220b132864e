"""Signature Version 4 of a request whose path and query need no canonical form. No clock and no I/O.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import Any, Final, NamedTuple

from ..config import Credentials

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_BLOCK: Final = 64
_PADDINGS: Final = (0x36, 0x5C)


class Moment(NamedTuple):
    """A second in the two forms that a signature takes: 20150830T123600Z and 20150830."""

    timestamp: str
    date: str

    @classmethod
    def at(cls, seconds: float) -> Moment:
        """Returns the second, in UTC, of a time since the epoch."""
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
        return cls(timestamp, timestamp[:8])


class Key(NamedTuple):
    """The key that signs one day's requests to one service in one region.

    Attributes:
        credentials: The credentials.
        scope: The day, region and service.
        inner: SHA-256 of the key and the inner padding of HMAC (RFC 2104). To copy such states takes half of the time
            of ``hmac.digest``.
        outer: The same with the outer padding.
    """

    credentials: Credentials
    scope: str
    inner: Any
    outer: Any

    def __repr__(self) -> str:
        return f"Key(scope={self.scope!r})"

    @classmethod
    def of(cls, credentials: Credentials, date: str, region: str, service: str) -> Key:
        """Derives the key of a date such as 20150830."""
        secret = f"AWS4{credentials.secret_access_key}".encode()
        for part in (date, region, service, "aws4_request"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        block = secret.ljust(_BLOCK, b"\0")
        inner, outer = (sha256(bytes(byte ^ padding for byte in block)) for padding in _PADDINGS)
        return cls(credentials, f"{date}/{region}/{service}/aws4_request", inner, outer)


class Signer(NamedTuple):
    """Signs requests that differ only in their bodies.

    Attributes:
        canonical: SHA-256 of the canonical request up to the hash of the body.
        inner: SHA-256 of the key, the inner padding, and what is signed up to the hash of the canonical request.
        outer: SHA-256 of the key and the outer padding.
        header: The value of the header ``Authorization`` up to the signature.
    """

    canonical: Any
    inner: Any
    outer: Any
    header: str

    @classmethod
    def of(cls, key: Key, moment: Moment, request: str, headers: str, signed: str) -> Signer:
        """Returns the signer of requests.

        Args:
            key: The key of the moment's date.
            moment: When the requests are made.
            request: The method, the canonical path and the canonical query, a line each.
            headers: The headers in their canonical form: in lower case, ordered, a line each.
            signed: Their names, with semicolons between.
        """
        credential = f"{key.credentials.access_key_id}/{key.scope}"
        inner = key.inner.copy()
        inner.update(f"{_ALGORITHM}\n{moment.timestamp}\n{key.scope}\n".encode())
        return cls(
            sha256(f"{request}\n{headers}\n\n{signed}\n".encode()),
            inner,
            key.outer,
            f"{_ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature=",
        )

    def __repr__(self) -> str:
        return "Signer()"

    def authorization(self, body: bytes) -> str:
        """Returns the value of the header ``Authorization`` of the request with this body."""
        canonical, inner, outer = self.canonical.copy(), self.inner.copy(), self.outer.copy()
        canonical.update(sha256(body).hexdigest().encode())
        inner.update(canonical.hexdigest().encode())
        outer.update(inner.digest())
        return f"{self.header}{outer.hexdigest()}"
