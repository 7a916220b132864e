"""Encodes and decodes messages. The first byte selects the codec: ``M`` MessagePack, ``J`` JSON, ``B`` BSON.

Decoding is strict: whatever does not have exactly the types of ``messages`` raises ``MessageError``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from ...core.secret import Secret
from .envelope import Envelope
from .messages import MAX_ID, VERSION, Answer, Head, Request

Buffer: TypeAlias = bytes | memoryview
"""Received bytes. They contain secrets: keep them as ``Secret`` or ``memoryview``, whose repr does not show them."""

DECODED: Final = (Request, Answer, Head, Envelope)
"""The types that a codec decodes."""
_ERRORS: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


class Codec(NamedTuple):
    """A codec.

    Attributes:
        first: The first byte of its messages.
        encode_into: Appends an encoded message to a buffer, at an offset.
        decode: Decodes bytes as a type.
    """

    first: bytes
    encode_into: Callable[[Any, bytearray, int], None]
    decode: Mapping[type, Callable[[Buffer], Any]]


class MessageError(Exception):
    """A message is malformed. The text contains no part of it.

    Attributes:
        codec: The codec of the message, or MessagePack.
        id: The id of the message; 0 if it cannot be read.
    """

    def __init__(self, text: str, *, codec: Codec, id_: int = 0) -> None:
        super().__init__(text)
        self.codec = codec
        self.id = id_


def _codec(first: bytes, encoder: type[Any], decoder: type[Any]) -> Codec:
    # Not subclasses of the basic types, which msgspec refuses: Secret is the only one that a message contains.
    encode_into = encoder(enc_hook=to_plain).encode_into
    return Codec(first, encode_into, {type_: decoder(type_).decode for type_ in DECODED})


def to_plain(value: object) -> bytes:
    """Returns the plain bytes of a secret, for an encoder."""
    if isinstance(value, Secret):
        return bytes(value)
    raise TypeError(f"a message cannot contain {type(value).__name__}")


MESSAGEPACK: Final = _codec(b"M", msgspec.msgpack.Encoder, msgspec.msgpack.Decoder)
JSON: Final = _codec(b"J", msgspec.json.Encoder, msgspec.json.Decoder)
_CODECS: Final = {codec.first: codec for codec in (MESSAGEPACK, JSON)}


def find_codec(first: bytes) -> Codec | None:
    """Returns the codec with a first byte; None if there is none, or if it is BSON and pymongo is not installed."""
    return _CODECS.get(first) or (_find_bson() if first == b"B" else None)


@cache
def _find_bson() -> Codec | None:
    try:
        from .bson_codec import BSON
    except ImportError:
        return None
    return BSON


def encode(message: Request | Answer, codec: Codec = MESSAGEPACK) -> Secret:
    """Returns the bytes of a message.

    Raises:
        MessageError: It contains what cannot be encoded, such as a number beyond 64 bits or a lone surrogate.
    """
    buffer = bytearray(codec.first)
    try:
        codec.encode_into(message, buffer, 1)
    except (*_ERRORS, TypeError):
        problem = "a value cannot be encoded: numbers have at most 64 bits, and text has no lone surrogates"
    else:
        return Secret(buffer)
    # Outside of the handler: the error of the codec may contain the text.
    raise MessageError(problem, codec=codec, id_=message.id)


def decode_request(data: Buffer) -> tuple[Codec, Request]:
    """Returns a request, and the codec of its answer.

    Raises:
        MessageError: It is malformed.
    """
    codec = _codec_of(data)
    request: Request = _decode(codec, Request, data)
    return codec, request


def decode_envelope(data: Buffer) -> tuple[Codec, Envelope] | None:
    """Returns the envelope of a request that may have to wait, and the codec of its answer; None for other messages."""
    codec = find_codec(bytes(data[:1]))
    if codec is None:
        return None
    try:
        return codec, codec.decode[Envelope](memoryview(data)[1:])
    except _ERRORS:
        return None


def decode_answer(data: Buffer) -> Answer:
    """Returns an answer.

    Raises:
        MessageError: It is malformed.
    """
    answer: Answer = _decode(_codec_of(data), Answer, data)
    return answer


def _codec_of(data: Buffer) -> Codec:
    codec = find_codec(bytes(data[:1]))
    if codec is None:
        raise MessageError("the first byte of a message must be M, J, or B where BSON is installed", codec=MESSAGEPACK)
    return codec


def _decode(codec: Codec, type_: type, data: Buffer) -> Any:
    content = memoryview(data)[1:]
    try:
        return codec.decode[type_](content)
    except _ERRORS:
        pass
    # Outside of the handler: the error of the codec may contain a value.
    raise _error(codec, content)


def _error(codec: Codec, content: Buffer) -> MessageError:
    try:
        head: Head = codec.decode[Head](content)
    except _ERRORS:
        return MessageError("the message is malformed", codec=codec)
    if head.version != VERSION:
        return MessageError(f"the version of the protocol must be {VERSION}", codec=codec, id_=_valid(head.id))
    return MessageError("the message is malformed", codec=codec, id_=_valid(head.id))


def _valid(id_: int) -> int:
    return id_ if 0 < id_ <= MAX_ID else 0
