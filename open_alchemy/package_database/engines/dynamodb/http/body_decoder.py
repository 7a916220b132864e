"""Decodes the JSON body of a response.

``msgspec`` decodes it in half of the time, if it is installed (the extra ``speed``). What it does not accept, the
standard library decodes: the result is the same with and without it, up to DynamoDB's nesting of 32 levels.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from ....core.secret import Secret
from ..attribute_codec import DecodedItems, decode_number

_decode: Final = json.JSONDecoder().decode
_MANY_BYTES: Final = 10_000
"""Importing ``msgspec`` takes milliseconds, which only larger bodies are worth."""


def decode_body(body: bytes) -> dict[str, Any] | None:
    """Returns the JSON object in a body, its binary values as ``Secret``; None if it is not a JSON object."""
    # Searching for one letter is ten times as fast as for two characters.
    has_binary = body.find(b"B") >= 0 and body.find(b'"B') >= 0
    if len(body) > _MANY_BYTES and not has_binary and (page := _decode_page(body)) is not None:
        return page
    try:
        content = _loads(body)
        if isinstance(content, dict):
            if has_binary:
                _decode_binary(content)
            return content
    except (ValueError, RecursionError):
        pass
    return None


def _loads(body: bytes) -> Any:
    fast = _fast_decoder() if len(body) > _MANY_BYTES else None
    content = None if fast is None else fast(body)
    return _decode(body.decode(errors="surrogatepass")) if content is None else content


@cache
def _fast_decoder() -> Callable[[bytes], Any] | None:
    """Returns a decoder that returns None for what it does not accept; None if ``msgspec`` is not installed."""
    try:
        import msgspec
    except ImportError:
        return None
    decode = msgspec.json.Decoder().decode

    def decode_accepted(body: bytes) -> Any:
        try:
            return decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            # It refuses lone surrogates, for example, which the standard library accepts.
            return None

    return decode_accepted


def _decode_page(body: bytes) -> dict[str, Any] | None:
    """Returns a page whose attributes are all text or whole numbers, with decoded items; None if it is not one."""
    decode = _page_decoder()
    return None if decode is None else decode(body)


@cache
def _page_decoder() -> Callable[[bytes], dict[str, Any] | None] | None:
    """Returns the decoder of ``_decode_page``; None if ``msgspec`` is not installed."""
    try:
        import msgspec
    except ImportError:
        return None
    unset = msgspec.UNSET
    text: Any = msgspec.defstruct(
        "Text", [(type_, str | msgspec.UnsetType, unset) for type_ in ("S", "N")], forbid_unknown_fields=True, gc=False
    )
    key = dict[str, dict[str, Any]]
    page = msgspec.defstruct(
        "Page",
        [("Items", list[dict[str, text]]), ("Count", int, 0), ("ScannedCount", int, 0), ("LastEvaluatedKey", key, {})],
        forbid_unknown_fields=True,
    )
    decode = msgspec.json.Decoder(page).decode

    def decode_page(body: bytes) -> dict[str, Any] | None:
        try:
            found: Any = decode(body)
            items = [
                {name: value.S if value.S is not unset else decode_number(value.N) for name, value in item.items()}
                for item in found.Items
            ]
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return None
        return {"Items": DecodedItems(items), "LastEvaluatedKey": found.LastEvaluatedKey}

    return decode_page


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
