"""The codec BSON: a document whose only field, ``m``, is the message. It has the types of JSON, and binary values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import bson
import msgspec
from bson.errors import BSONError
from bson.int64 import Int64

from .codec import DECODED, Buffer, Codec, to_plain

_FIELD: Final = "m"


def _encode_into(message: Any, buffer: bytearray, offset: int) -> None:
    plain = msgspec.to_builtins(message, builtin_types=(bytes,), enc_hook=to_plain)
    try:
        buffer[offset:] = bson.encode({_FIELD: plain})
    except BSONError:
        problem = "not encodable"
    else:
        return
    raise ValueError(problem)


def _decode(type_: type, data: Buffer) -> Any:
    try:
        document = bson.decode(data)
    except BSONError:
        document = {}
    if document.keys() != {_FIELD}:
        raise ValueError("no message")
    return msgspec.convert(_native(document[_FIELD]), type_, builtin_types=(bytes,))


def _native(value: Any) -> Any:
    """Returns a value with the integers of Python: those beyond 32 bits have a type of their own."""
    if isinstance(value, dict):
        return {name: _native(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(_native, value))
    return int(value) if isinstance(value, Int64) else value


_DECODERS: Final[dict[type, Callable[[Buffer], Any]]] = {type_: partial(_decode, type_) for type_ in DECODED}
BSON: Final = Codec(b"B", _encode_into, _DECODERS)
