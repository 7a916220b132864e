"""Encodes and decodes bodies with ``msgspec``. Each function returns None for what it does not accept."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..attribute_codec import DecodedItems, decode_number, encode_binary
from ..requests import Request

_UNSET: Final = msgspec.UNSET
_NOT_ACCEPTED: Final = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
"""Lone surrogates, for example, which the standard library accepts."""


class _Attribute(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    S: str | msgspec.UnsetType = _UNSET
    N: str | msgspec.UnsetType = _UNSET


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    Items: list[dict[str, _Attribute]]
    Count: int = 0
    ScannedCount: int = 0
    LastEvaluatedKey: dict[str, dict[str, Any]] = {}


_encode: Final = msgspec.json.Encoder(enc_hook=encode_binary).encode
_decode: Final = msgspec.json.Decoder().decode
_decode_page: Final = msgspec.json.Decoder(_Page).decode


def encode(request: Request) -> bytes | None:
    """Returns a request as JSON."""
    try:
        return _encode(request)
    except _NOT_ACCEPTED:
        return None


def decode(body: bytes) -> Any:
    """Returns the content of a body."""
    try:
        return _decode(body)
    except _NOT_ACCEPTED:
        return None


def decode_page(body: bytes) -> dict[str, Any] | None:
    """Returns a page whose attributes are all text or whole numbers, with decoded items."""
    try:
        page = _decode_page(body)
        items: list[Any] = [
            {name: text if (text := value.S) is not _UNSET else decode_number(value.N) for name, value in item.items()}
            for item in page.Items
        ]
    except _NOT_ACCEPTED:
        return None
    return {"Items": DecodedItems(items), "LastEvaluatedKey": page.LastEvaluatedKey}
