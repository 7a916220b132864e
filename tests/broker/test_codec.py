"""Messages: each codec encodes and decodes them, refuses anything else with one error, and shows no value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_alchemy.package_database.core import operations as core
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.broker import messages
from open_alchemy.package_database.engines.broker.bson_codec import BSON
from open_alchemy.package_database.engines.broker.codec import (
    JSON,
    MESSAGEPACK,
    Codec,
    MessageError,
    decode_answer,
    decode_request,
    encode,
)
from open_alchemy.package_database.engines.broker.operation_messages import Schema, to_message
from open_alchemy.package_database.exceptions import RefusedError
from open_alchemy.package_database.model.schema import CREDENTIALS, ID_UPDATED_AT, SPECS, TABLES
from tests.canary import HASH, SALT, find

SPEC: core.Item = {"sub": "u", "updated_at_id": "latest#a", "id": "a", "model_count": 2**40}
CREDENTIAL: core.Item = {
    "sub": "u",
    "id": "c",
    "public_key": "p",
    "secret_key_hash": Secret(HASH),
    "salt": Secret(SALT),
}
KEY = {"sub": "u", "updated_at_id": "latest#a"}
CONDITION = core.AnyOf((core.Missing("sub"), core.AllOf((core.Equal("id", "a"), core.Below("updated_at", "10")))))
OPERATIONS: list[core.StoreOperation] = [
    core.Get(SPECS, KEY),
    core.Query(SPECS, "u"),
    core.Query(SPECS, "u", "a#", ID_UPDATED_AT, ("id",), 7, {**KEY, "id_updated_at": "a#latest"}),
    core.Query(SPECS, "u", is_descending=True),
    core.Transact((core.Check(SPECS, KEY, core.AtLeast("updated_at", "10")),), "t"),
    core.Scan(SPECS, 10),
    core.Scan(SPECS, 10, KEY, "u"),
    core.Transact((core.Put(SPECS, SPEC, CONDITION), core.Delete(SPECS, KEY), core.Check(SPECS, KEY, CONDITION)), "t"),
    core.Transact((core.Put(CREDENTIALS, CREDENTIAL, core.Equal("salt", Secret(SALT))),), "t"),
]
CODECS = [pytest.param(MESSAGEPACK, id="MessagePack"), pytest.param(JSON, id="JSON"), pytest.param(BSON, id="BSON")]


def request(operation: core.StoreOperation) -> messages.Request:
    return messages.Request(messages.VERSION, 7, 1.5, 5.0, to_message(operation))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_decoded_as_it_was_encoded(operation: core.StoreOperation, codec: Codec) -> None:
    found, decoded = decode_request(encode(request(operation), codec))
    assert isinstance(decoded.body, messages.Operation)
    expected = operation._replace(is_repeatable=True) if isinstance(operation, core.Transact) else operation
    assert (found, Schema(TABLES).to_operation(decoded.body)) == (codec, expected)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_repr_shows_a_secret(operation: core.StoreOperation) -> None:
    message = encode(request(operation))
    assert find(repr((message, request(operation), decode_request(memoryview(message))))) == []


def check(error: MessageError | RefusedError) -> None:
    """Checks that the error refers to no other, whose text might contain a value."""
    assert error.__context__ is None
    assert getattr(error, "code", "Malformed") == "Malformed"


@given(st.sampled_from([b"", b"M", b"J", b"B", b"X"]), st.binary(max_size=200))
def test_random_bytes_are_refused_with_one_error(first: bytes, data: bytes) -> None:
    for decode in (decode_request, decode_answer):
        try:
            decode(first + data)
        except MessageError as error:
            check(error)


@given(st.sampled_from(OPERATIONS), st.sampled_from([MESSAGEPACK, JSON, BSON]), st.data())
def test_a_changed_message_is_a_valid_operation_or_is_refused(
    operation: core.StoreOperation, codec: Codec, data: st.DataObject
) -> None:
    changed = bytearray(encode(request(operation), codec))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        _, decoded = decode_request(bytes(changed))
        assert isinstance(decoded.body, messages.Operation)
        Schema(TABLES).to_operation(decoded.body)
    except MessageError as error:
        check(error)
    except RefusedError as error:
        check(error)


def test_deeply_nested_conditions_are_refused() -> None:
    nested = b"\x92\xa3all\x91" * 100_000
    with pytest.raises(MessageError, match="malformed"):
        decode_request(b"M\x95\x01\x07\x00\x05\x93\xa8transact\xa1t\x91\x94\xa6delete\xa1t\xa1p\xa1s" + nested)


def test_a_deeply_nested_document_is_refused() -> None:
    depth = 20_000
    lengths = (5 + 8 * level for level in range(depth, 0, -1))
    nested = b"".join(length.to_bytes(4, "little") + b"\x040\x00" for length in lengths)
    with pytest.raises(MessageError, match="malformed"):
        decode_request(b"B" + nested + b"\x05\x00\x00\x00" + b"\x00" * (depth + 1))


@pytest.mark.parametrize(
    ("data", "id_", "message"),
    [
        (b"", 0, "first byte"),
        (b"X", 0, "first byte"),
        (b"J[2,9,0,5,[]]", 9, "version of the protocol must be 1"),
        (b'J[1,9,0,5,["unknown"]]', 9, "malformed"),
        (b'J[1,9,0,5,["get","t","p",1]]', 9, "malformed"),
        (b'J[1,-1,0,5,["status"]]', 0, "malformed"),
        (b'J[1,1,0,-5,["status"]]', 1, "malformed"),
    ],
)
def test_the_error_of_a_malformed_message_names_the_request(data: bytes, id_: int, message: str) -> None:
    with pytest.raises(MessageError, match=message) as caught:
        decode_request(data)
    assert caught.value.id == id_


@pytest.mark.parametrize(
    ("value", "codec"),
    [("\ud800", MESSAGEPACK), (2**70, MESSAGEPACK), ("\ud800", JSON), ("\ud800", BSON), (2**63, BSON)],
)
def test_a_value_that_cannot_be_encoded_is_not_in_the_error(value: str | int, codec: Codec) -> None:
    item = {**SPEC, "title": value}
    with pytest.raises(MessageError, match="cannot be encoded") as caught:
        encode(request(core.Transact((core.Put(SPECS, item),), "t")), codec)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "message",
    [
        messages.Get("unknown", "u", "a"),
        messages.Query(SPECS.name, "u", index="unknown"),
        messages.Query(SPECS.name, "u", attributes=("unknown",)),
        messages.Query(SPECS.name, "u", after={"sub": "u"}),
        messages.Scan(SPECS.name, 1, {"unknown": "u"}),
        messages.Transact("t", (messages.Put(SPECS.name, messages.Item({"sub": "u"})),)),
        messages.Transact("t", (messages.Put(SPECS.name, messages.Item({**KEY, "model_count": "3"})),)),
        messages.Transact("t", (messages.Delete(SPECS.name, "u", "a", messages.Missing("unknown")),)),
    ],
)
def test_an_operation_that_does_not_match_the_schema_is_refused(message: messages.Operation) -> None:
    with pytest.raises(RefusedError) as caught:
        Schema(TABLES).to_operation(message)
    assert caught.value.code == "Malformed"
