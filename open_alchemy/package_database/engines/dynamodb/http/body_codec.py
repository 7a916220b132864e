"""Encodes the JSON body of a request, and decodes that of a response.

``msgspec`` takes a fraction of the time of the standard library, if it is installed (the extra ``speed``). What it does
not accept, the standard library encodes or decodes: the content is the same with and without it, up to DynamoDB's
nesting of 32 levels.
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from ....core.secret import Secret
from ..attribute_codec import encode_binary
from ..requests import Request

if TYPE_CHECKING:
    from types import ModuleType

_encode: Final = json.JSONEncoder(separators=(",", ":"), default=encode_binary).encode
_decode: Final = json.JSONDecoder().decode
_MANY_BYTES: Final = 10_000
"""Importing ``msgspec`` takes milliseconds, which only as many bytes are worth."""


class BodyCodec:
    """Encodes and decodes bodies. Safe for many threads.

    Args:
        until_msgspec: The bytes of responses after which it imports ``msgspec``.
    """

    def __init__(self, until_msgspec: float = _MANY_BYTES) -> None:
        self._until_msgspec = until_msgspec
        self._msgspec: ModuleType | None = None

    def encode(self, request: Request) -> bytes:
        """Returns a request as JSON."""
        body = self._msgspec.encode(request) if self._msgspec else None
        return _encode(request).encode() if body is None else body

    def decode(self, body: bytes) -> dict[str, Any] | None:
        """Returns the JSON object in a body, its binary values as ``Secret``; None if it is not a JSON object.

        A large page of items without binary values has ``DecodedItems``.
        """
        if self._until_msgspec > 0:
            self._until_msgspec -= len(body)
            if self._until_msgspec <= 0:
                self._msgspec = _import_msgspec()
        # Searching for one letter is ten times as fast as for two characters.
        has_binary = body.find(b"B") >= 0 and body.find(b'"B') >= 0
        if self._msgspec and len(body) > _MANY_BYTES and not has_binary:
            page: dict[str, Any] | None = self._msgspec.decode_page(body)
            if page is not None:
                return page
        try:
            content = self._msgspec.decode(body) if self._msgspec else None
            if content is None:
                content = _decode(body.decode(errors="surrogatepass"))
            if isinstance(content, dict):
                if has_binary:
                    _decode_binary(content)
                return content
        except (ValueError, RecursionError):
            pass
        return None


def _import_msgspec() -> ModuleType | None:
    try:
        from . import msgspec_codec
    except ImportError:
        return None
    return msgspec_codec


def _decode_binary(content: Any) -> None:
    """Replaces every binary value of a response, in place, by a ``Secret``: JSON has it in base64."""
    places = content.items() if isinstance(content, dict) else enumerate(content)
    for place, value in places:
        if place == "B" and isinstance(value, str):
            content[place] = _secret(value)
        elif place == "BS" and isinstance(value, list):
            content[place] = [_secret(binary) for binary in value]
        elif isinstance(value, dict | list):
            _decode_binary(value)


def _secret(binary: Any) -> Any:
    return Secret(b64decode(binary, validate=True)) if isinstance(binary, str) else binary
