"""Signature Version 4 of a request whose path and query need no canonical form. No clock and no I/O.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import NamedTuple

from ..config import Credentials

_ALGORITHM = "AWS4-HMAC-SHA256"


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
    """The key that signs one day's requests to one service in one region."""

    credentials: Credentials
    scope: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key(scope={self.scope!r})"

    @classmethod
    def of(cls, credentials: Credentials, date: str, region: str, service: str) -> Key:
        """Derives the key of a date such as 20150830."""
        secret = f"AWS4{credentials.secret_access_key}".encode()
        for part in (date, region, service, "aws4_request"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        return cls(credentials, f"{date}/{region}/{service}/aws4_request", secret)


def authorization(key: Key, moment: Moment, request: str, headers: str, signed: str, body: bytes) -> str:
    """Returns the value of the header ``Authorization``.

    Args:
        key: The key of the moment's date.
        moment: When the request is made.
        request: The method, the canonical path and the canonical query, a line each.
        headers: The headers in their canonical form: in lower case, ordered, a line each.
        signed: Their names, with semicolons between.
        body: What is sent.
    """
    canonical = f"{request}\n{headers}\n\n{signed}\n{sha256(body).hexdigest()}"
    digest = sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{moment.timestamp}\n{key.scope}\n{digest}"
    signature = hmac.digest(key.secret, text.encode(), "sha256").hex()
    credential = f"{key.credentials.access_key_id}/{key.scope}"
    return f"{_ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"
