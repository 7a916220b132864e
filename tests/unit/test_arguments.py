"""Every rule of every argument, at, below and above its limit."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NoReturn

import pytest

from open_alchemy.package_database import TDatabase, ValidationError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Item, StoreOperation
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.model.validation import check, check_item_size, item_size
from open_alchemy.package_database.testing.memory import MemoryConfig, MemoryEngine


class NoStore:
    """An engine whose calls fail the test."""

    config = MemoryConfig()
    attempt_seconds = 0.0

    def prepare(self) -> NoReturn:
        raise AssertionError("prepared")

    def execute(self, operation: StoreOperation, deadline: Deadline) -> NoReturn:
        raise AssertionError(operation, deadline)

    def administration(self) -> NoReturn:
        raise AssertionError("administered")

    def close(self) -> NoReturn:
        raise AssertionError("closed")


class Text(str):
    """A subclass of str with another result of ``format``."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return "formatted"


class Choice(str, Enum):  # noqa: UP042 (a StrEnum formats as its value)
    """An enumeration of strings, whose members are formatted as their names."""

    A = "a"


def checked(**arguments: Any) -> Any:
    check(arguments)
    return next(iter(arguments.values()))


GOOD = [
    ("sub", "s"),
    ("sub", "s" * 2048),
    ("sub", "é" * 1024),
    ("name", "n" * 1003),
    ("name", "-" * 5000),
    ("id_", "i" * 1024),
    ("public_key", "p" * 2048),
    ("version", " "),
    ("version", "é" * 102_400),
    ("title", None),
    ("title", ""),
    ("description", None),
    ("model_count", 0),
    ("model_count", 2**63 - 1),
]


@pytest.mark.parametrize(("name", "value"), GOOD, ids=[name for name, _ in GOOD])
def test_a_valid_argument_is_returned_unchanged(name: str, value: object) -> None:
    assert checked(**{name: value}) == value


KEYS = {"sub": 2048, "id_": 1024, "public_key": 2048, "version": 204_800}
BAD: list[tuple[str, object, str]] = [
    *[(name, "", f"{name} must have 1 to {limit} bytes in UTF-8, not ''") for name, limit in KEYS.items()],
    *[
        (name, "x" * (limit + 1), rf"{name} must have 1 to {limit} bytes .*\({limit + 1} char")
        for name, limit in KEYS.items()
    ],
    *[(name, "é" * (limit // 2) + "x", f"{name} must have 1 to {limit} bytes") for name, limit in KEYS.items()],
    ("name", "", "name must have 1 to 1003 bytes in UTF-8 when canonicalized"),
    ("name", "n" * 1004, "name must have 1 to 1003 bytes in UTF-8 when canonicalized"),
    ("name", "é" * 502, "name must have 1 to 1003 bytes in UTF-8 when canonicalized"),
    *[(name, 1, f"{name} must be a str, not 1") for name in (*KEYS, "name", "title", "description")],
    *[(name, None, f"{name} must be a str, not None") for name in (*KEYS, "name")],
    *[(name, b"x", f"{name} must be a str, not a value of type bytes") for name in (*KEYS, "name")],
    *[
        (name, "a\ud800", f"{name} must be valid Unicode, without lone surrogates")
        for name in (*KEYS, "name", "title", "description")
    ],
    *[
        (name, "a\0", f"{name} must not contain a null character")
        for name in (*KEYS, "name", "version", "title", "description")
    ],
    ("model_count", True, "model_count must be an int, not True"),
    ("model_count", 1.0, "model_count must be an int, not a value of type float"),
    ("model_count", "1", "model_count must be an int, not '1'"),
    ("model_count", -1, "model_count must be from 0 to 9223372036854775807, not -1"),
    ("model_count", 2**63, "model_count must be from 0 to 9223372036854775807, not 9223372036854775808"),
    ("model_count", 10**5000, "model_count must be from 0 to 9223372036854775807, not a value of type int"),
    ("salt", "canary", "salt must be bytes, bytearray or memoryview, not a value of type str"),
    ("secret_key_hash", None, "secret_key_hash must be bytes, bytearray or memoryview, not a value of type NoneType"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD, ids=[name for name, _, _ in BAD])
def test_an_invalid_argument_is_refused_by_name(name: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        check({name: value})

    assert "canary" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("value", [Text("a"), Choice.A])
def test_a_subclass_of_str_becomes_plain_text(value: str) -> None:
    assert checked(sub=value) == "a"
    assert type(checked(sub=value)) is str


@pytest.mark.parametrize(
    "value", [b"canary", bytearray(b"canary"), memoryview(b"canary"), memoryview(b"c-a-n-a-r-y-")[::2]]
)
def test_secrets_are_wrapped_in_a_class_without_a_repr_of_their_value(value: Any) -> None:
    wrapped = checked(salt=value)

    assert isinstance(wrapped, Secret)
    assert bytes(wrapped) == bytes(value)
    for shown in (repr(wrapped), str(wrapped), f"{wrapped}", f"{wrapped:>16}"):
        assert shown == "<6 secret bytes>"
    assert repr({"salt": [wrapped]}) == "{'salt': [<6 secret bytes>]}"


CALLS: list[Callable[[TDatabase], object]] = [
    lambda database: database.count_customer_models(sub=""),
    lambda database: database.create_update_spec(sub="u1", name="", version="1", model_count=1),
    lambda database: database.create_update_spec(
        sub="u1", name="a", version="1", model_count=1, description="x" * 200 * 1024
    ),
    lambda database: database.get_latest_spec_version(sub="u1", name=""),
    lambda database: database.list_specs(sub=""),
    lambda database: database.get_spec(sub="u1", name=""),
    lambda database: database.delete_spec(sub="u1", name=""),
    lambda database: database.list_spec_versions(sub="u1", name=""),
    lambda database: database.delete_all_specs(sub=""),
    lambda database: database.list_credentials(sub=""),
    lambda database: database.create_update_credentials(
        sub="u1", id_="", public_key="p", secret_key_hash=b"", salt=b""
    ),
    lambda database: database.create_update_credentials(
        sub="u1", id_="1", public_key="p", secret_key_hash=bytes(400 * 1024), salt=b""
    ),
    lambda database: database.get_credentials(sub="u1", id_=""),
    lambda database: database.get_user(public_key=""),
    lambda database: database.delete_credentials(sub="u1", id_=""),
    lambda database: database.delete_all_credentials(sub=""),
    lambda database: database.delete_all(sub=""),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_function_checks_before_any_io(call: Callable[[TDatabase], object]) -> None:
    with pytest.raises(ValidationError):
        call(open_database(NoStore()))


def test_unknown_arguments_are_a_type_error() -> None:
    database: Any = open_database(MemoryEngine())

    with pytest.raises(TypeError, match="other"):
        database.get_spec(sub="u1", name="a", other=1)
    with pytest.raises(TypeError, match="name"):
        database.get_spec(sub="u1")
    with pytest.raises(TypeError, match="positional"):
        database.list_specs("u1")


def spec_overhead() -> int:
    """Returns the largest size of a version record without its description."""
    attributes: Item = {
        "sub": "u1",
        "id": "a",
        "name": "a",
        "version": "1",
        "model_count": 1,
        "description": "",
        "updated_at": "1" * 11,
        "revision": "r" * 32,
        "updated_at_id": "0" * 20 + "#a",
        "id_updated_at": "a#" + "0" * 20,
    }
    return item_size(attributes)


def test_a_spec_and_its_copy_in_the_index_share_400_kb() -> None:
    database = open_database(MemoryEngine())
    fits = "x" * (200 * 1024 - spec_overhead())

    database.create_update_spec(sub="u1", name="a", version="1", model_count=1, description=fits)
    with pytest.raises(ValidationError, match="description and the other arguments make an item of 204801 bytes"):
        database.create_update_spec(sub="u1", name="b", version="1", model_count=1, description=fits + "x")

    assert [info["id"] for info in database.list_specs(sub="u1")] == ["a"]


def test_credentials_may_have_the_maximum_size_of_an_item() -> None:
    database = open_database(MemoryEngine())
    arguments = {"sub": "u1", "id_": "1", "public_key": "p"}
    names = ("sub", "id", "public_key", "secret_key_hash", "salt", "encoding")
    fits = b"x" * (400 * 1024 - sum(map(len, names)) - sum(map(len, arguments.values())) - len("raw"))

    database.create_update_credentials(**arguments, secret_key_hash=fits, salt=b"")
    with pytest.raises(ValidationError, match="secret_key_hash and the other arguments make an item of 409601 bytes"):
        database.create_update_credentials(**arguments, secret_key_hash=fits, salt=b"x")


def test_the_size_of_an_item_is_that_of_names_and_values() -> None:
    assert item_size({"a": "é", "bc": b"123"}) == 1 + 2 + 2 + 3
    check_item_size({"a": "x" * (400 * 1024 - 1)})
    with pytest.raises(ValidationError, match="must be at most 204800"):
        check_item_size({"a": "x" * (200 * 1024)}, copies=2)
