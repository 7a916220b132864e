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

_MANY_BYTES: Final = 10_000
"""Importing ``msgspec`` takes milliseconds, which only larger bodies are worth."""


def decode_body(body: bytes) -> dict[str, Any] | None:
    """Returns the JSON object in a body, its binary values as ``Secret``; None if it is not a JSON object."""
    try:
        content = _loads(body)
        if isinstance(content, dict):
            # Searching for one letter is ten times as fast as for two characters.
            if body.find(b"B") >= 0 and body.find(b'"B') >= 0:
                _decode_binary(content)
            return content
    except (ValueError, RecursionError):
        pass
    return None


def _loads(body: bytes) -> Any:
    fast = _fast_decoder() if len(body) > _MANY_BYTES else None
    content = None if fast is None else fast(body)
    return json.loads(body) if content is None else content


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
