"""A body is encoded and decoded the same with msgspec and without it."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.dynamodb.attribute_codec import DecodedItems, decode_items
from open_alchemy.package_database.engines.dynamodb.http import body_codec
from open_alchemy.package_database.engines.dynamodb.http.body_codec import BodyCodec

PADDING = b" " * 20_000
"""Makes a body large enough for msgspec."""

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["S", "N", "B", "BS"]), inner, max_size=4)
    ),
)
TOKENS = [
    *(
        '{"B":"aGFzaA=="}',
        '{"BS":["a",1]}',
        '"a"',
        '"B"',
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "1",
        "-0",
        "01",
        "1E2",
        "1e400",
    ),
    *("0.1", "NaN", "-Infinity", "null", "true", "\ufeff", '"\\ud800"', '"\\u0000"', '"\x00"', '"\\/"'),
    *("9" * 400, "9" * 5_000),
]
PIECES = st.lists(st.sampled_from(TOKENS), max_size=12).map("".join)


@pytest.fixture(autouse=True)
def _msgspec() -> None:
    pytest.importorskip("msgspec")


WITH_JSON, WITH_MSGSPEC = BodyCodec(math.inf), BodyCodec(1)


def assert_same(data: bytes) -> None:
    expected, found = WITH_JSON.decode(Secret(data)), WITH_MSGSPEC.decode(Secret(data))
    if found is not None and isinstance(found.get("Items"), DecodedItems):
        assert expected is not None
        expected = {"Items": decode_items(expected["Items"]), "LastEvaluatedKey": expected.get("LastEvaluatedKey", {})}

    assert _exact(found) == _exact(expected)


def _exact(value: Any) -> Any:
    """Returns a value with the classes of everything in it: 1, 1.0 and True are equal, and NaN is not."""
    match value:
        case dict():
            return [(key, _exact(inner)) for key, inner in value.items()]
        case list():
            return [_exact(inner) for inner in value]
        case float():
            return float, "nan" if math.isnan(value) else value.hex()
        case _:
            return type(value), value


@given(JSON)
def test_json_is_decoded_as_by_the_standard_library(content: Any) -> None:
    assert_same(json.dumps({"Items": content}).encode())
    assert_same(json.dumps({"Items": content}).encode() + PADDING)
    assert_same(json.dumps({"Items": content}, ensure_ascii=False).encode("utf-8", "surrogatepass") + PADDING)


TYPED = st.dictionaries(
    st.sampled_from(["S", "N", "B", "M"]),
    st.none() | st.text(st.characters(), max_size=3) | st.integers().map(str) | st.integers(),
    max_size=2,
)
ITEMS = st.lists(st.dictionaries(st.text(max_size=3), TYPED, max_size=3), max_size=3)


@given(ITEMS, st.none() | st.dictionaries(st.text(max_size=3), TYPED, max_size=2))
@example([{"a": {"S": "x", "N": "1"}}], None)
@example([{"a": {"S": None, "N": "1"}}], None)
@example([{"a": {"N": "1.5"}}], None)
@example([{"a": {"S": "x"}, "b": {"N": "-7"}}], {"a": {"S": "x"}})
def test_pages_are_decoded_as_by_the_standard_library(items: Any, last: Any) -> None:
    page = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
    assert_same(json.dumps(page if last is None else {**page, "LastEvaluatedKey": last}).encode() + PADDING)


def test_a_page_of_text_and_whole_numbers_is_decoded_at_once() -> None:
    page: Any = WITH_MSGSPEC.decode(Secret(b'{"Items":[{"a":{"S":"x"},"n":{"N":"1"}}],"Count":1}' + PADDING))

    assert isinstance(page["Items"], DecodedItems)
    assert page["Items"] == [{"a": "x", "n": 1}]


@given(PIECES)
@example('{"a":1,"a":{"B":"aGFzaA=="}}')
@example('{"Count":' + "9" * 400 + "}")
@example("{" * 10)
def test_text_that_may_be_invalid_is_decoded_as_by_the_standard_library(text: str) -> None:
    assert_same(text.encode() + PADDING)
    assert_same(('{"Items":[' + text + "]}").encode() + PADDING)
    assert_same(('{"Items":' + text + "}").encode("utf-16") + PADDING)


@pytest.mark.parametrize("depth", [100, 100_000])
def test_nesting_is_decoded_as_by_the_standard_library(depth: int) -> None:
    assert_same(b'{"Items":' + b"[" * depth + b"]" * depth + b"}" + PADDING)


def test_binary_values_are_secrets() -> None:
    found: Any = WITH_MSGSPEC.decode(Secret(b'{"Item":{"salt":{"B":"aGFzaA=="},"many":{"BS":["aGFzaA=="]}}}' + PADDING))

    assert found == {"Item": {"salt": {"B": b"hash"}, "many": {"BS": [b"hash"]}}}
    assert isinstance(found["Item"]["salt"]["B"], Secret)
    assert isinstance(found["Item"]["many"]["BS"][0], Secret)


REQUESTS = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | st.text(st.characters()) | st.binary() | st.binary().map(Secret),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@given(REQUESTS)
@example("\ud800")
@example({"B": Secret(b"hash")})
def test_requests_are_encoded_as_by_the_standard_library(content: Any) -> None:
    WITH_MSGSPEC.decode(Secret(b"{}"))

    assert json.loads(WITH_MSGSPEC.encode({"Item": content})) == json.loads(WITH_JSON.encode({"Item": content}))


@pytest.mark.parametrize("until_msgspec", [1, math.inf])
def test_a_request_of_another_type_is_an_error(until_msgspec: float) -> None:
    codec = BodyCodec(until_msgspec)
    codec.decode(Secret(b"{}"))

    with pytest.raises(TypeError, match="a request cannot contain object"):
        codec.encode({"Item": object()})


def test_msgspec_decodes_after_some_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, body = BodyCodec(until_msgspec=30), Secret(b'{"Item":{"a":1}}')
    used: list[str] = []
    decode = body_codec._decode

    def decode_and_record(text: str) -> object:
        used.append(text)
        return decode(text)

    monkeypatch.setattr(body_codec, "_decode", decode_and_record)

    found = [codec.decode(body) for _ in range(3)]

    assert found == [{"Item": {"a": 1}}] * 3
    assert len(used) == 1


def test_bodies_are_encoded_and_decoded_without_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    monkeypatch.delitem(sys.modules, f"{body_codec.__package__}.msgspec_codec", raising=False)
    monkeypatch.delattr(f"{body_codec.__package__}.msgspec_codec", raising=False)
    codec = BodyCodec(until_msgspec=1)

    assert codec.decode(Secret(b'{"Item":{}}')) == {"Item": {}}
    assert codec.encode({"Key": {}}) == b'{"Key":{}}'
    assert codec._msgspec is None
