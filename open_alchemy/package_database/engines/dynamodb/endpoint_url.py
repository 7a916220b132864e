"""Splits the URL of an endpoint. ``urllib.parse`` accepts more than an endpoint may be, and takes 3 ms to import."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

LAST_PORT: Final = 65535
_URL: Final = r"(?ai)(https?)://(?:\[([0-9a-f:.]+)\]|([^][/?#@:\s]+))(?::([0-9]{0,5}))?([/?#].*)?"
_NAME: Final = r"[A-Za-z0-9._-]+"


class EndpointURL(NamedTuple):
    """The parts of an endpoint's URL.

    Attributes:
        scheme: ``http`` or ``https``.
        host: The name, in ASCII as a header and DNS need it (IDNA), or the address.
        port: The port, if the URL has one.
        rest: Everything after the port.
    """

    scheme: str
    host: str
    port: int | None
    rest: str


def split_url(url: str) -> EndpointURL | None:
    """Returns the parts of a URL; None if it is not http or https, has no valid host or port, or has credentials."""
    match = re.fullmatch(_URL, url)
    if match is None:
        return None
    scheme, address, name, digits, rest = match.groups()
    port = int(digits) if digits else None
    if port is not None and not 1 <= port <= LAST_PORT:
        return None
    if address is None:
        try:
            name = name if name.isascii() else name.encode("idna").decode()
        except UnicodeError:
            return None
        if not re.fullmatch(_NAME, name):
            return None
    return EndpointURL(scheme.lower(), (address or name).lower(), port, rest or "")
