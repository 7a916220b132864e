"""Items of exports and other stores are accepted only if they are valid items of a table."""

from __future__ import annotations

from typing import Any

import pytest

from open_alchemy.package_database import ValidationError
from open_alchemy.package_database.core.operations import Item, Table
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.model.export_checks import Entry, check_item
from open_alchemy.package_database.model.keys import latest_key, padded, record_keys
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS
from tests.canary import HASH, find

RECORD: Item = {
    "sub": "u1",
    "id": "my-spec",
    "name": "My.Spec",
    "updated_at": "900000",
    "version": "1.0",
    "model_count": 3,
    **record_keys(padded("900000"), "my-spec"),
}
KEY: Item = {"sub": "u1", "id": "1", "public_key": "pk", "secret_key_hash": Secret(b"h"), "salt": Secret(b"s")}


def test_an_entry_has_the_key_of_its_item() -> None:
    latest: Item = {**RECORD, **record_keys("latest", "my-spec")}

    assert Entry(SPECS, latest).key == latest_key("u1", "my-spec")


@pytest.mark.parametrize(
    ("table", "item"),
    [
        (SPECS, RECORD),
        (SPECS, {**RECORD, **record_keys("latest", "my-spec")}),
        (SPECS, {**RECORD, "title": "", "description": "é", "revision": "9f0c"}),
        (SPECS, {**RECORD, "updated_at": "0", **record_keys(padded(0), "my-spec")}),
        (SPECS, {**RECORD, "updated_at": "9" * 19, **record_keys(padded("9" * 19), "my-spec")}),
        (SPECS, {**RECORD, "of another version": 7}),
        (SPECS, {**RECORD, "version": ""}),
        (CREDENTIALS, KEY),
        (CREDENTIALS, {**KEY, "secret_key_hash": b"", "salt": b""}),
    ],
)
def test_a_valid_item_is_accepted(table: Table, item: Item) -> None:
    check_item(table, item)


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        (SPECS, {"sub": None}, "sub is missing"),
        (SPECS, {"model_count": None}, "model_count is missing"),
        (SPECS, {"id_updated_at": None}, "id_updated_at is missing"),
        (CREDENTIALS, {"salt": None}, "salt is missing"),
        (CREDENTIALS, {"public_key": None}, "public_key is missing"),
        (SPECS, {"version": 1}, "version must be text"),
        (SPECS, {"title": b"x"}, "title must be text"),
        (SPECS, {"model_count": "3"}, "model_count must be a number"),
        (SPECS, {"model_count": -1}, "model_count must be from 0 to"),
        (SPECS, {"updated_at": 900000}, "updated_at must be text"),
        (SPECS, {"updated_at": "0900000"}, "updated_at must be whole seconds"),
        (SPECS, {"updated_at": "9e5"}, "updated_at must be whole seconds"),
        (SPECS, {"updated_at": "900001"}, "must be made of updated_at, or latest, and id"),
        (SPECS, {"updated_at_id": "latest#my-spec"}, "must be made of updated_at, or latest, and id"),
        (SPECS, {"id_updated_at": "my-spec#latest"}, "must be made of updated_at, or latest, and id"),
        (SPECS, {"updated_at": "9" * 20, **record_keys("9" * 20, "my-spec")}, "updated_at must be whole seconds"),
        (SPECS, {"id": "other"}, "id must be the canonical form of name"),
        (SPECS, {"id": "My.Spec", **record_keys(padded("900000"), "My.Spec")}, "id must be the canonical form of name"),
        (SPECS, {"name": "B"}, "id must be the canonical form of name"),
        (SPECS, {"id_updated_at": "other#latest"}, "must be made of updated_at, or latest, and id"),
        (
            SPECS,
            {"name": "x" * 1004, "id": "x" * 1004, **record_keys(padded("900000"), "x" * 1004)},
            "name must have 1 to 1003 bytes",
        ),
        (SPECS, {"description": "x" * 210_000}, "description and the other arguments make an item of"),
        (SPECS, {"sub": ""}, "sub must have 1 to 2048 bytes"),
        (SPECS, {"revision": "\ud800"}, "'revision' must be valid Unicode"),
        (SPECS, {"\ud800": "x"}, "must be valid Unicode"),
        (SPECS, {"other": 10**38}, "other must have at most 38 digits"),
        (CREDENTIALS, {"salt": "text"}, "salt must be bytes"),
        (CREDENTIALS, {"public_key": "x" * 2049}, "public_key must have 1 to 2048 bytes"),
        (CREDENTIALS, {"id": ""}, "id_ must have 1 to 1024 bytes"),
        (CREDENTIALS, {"salt": b"x" * 410_000}, "salt and the other arguments make an item of"),
    ],
)
def test_an_invalid_item_is_refused_with_its_attribute(table: Table, change: dict[str, Any], message: str) -> None:
    whole = (RECORD if table is SPECS else KEY) | change  # type: ignore[operator]
    item = {name: value for name, value in whole.items() if value is not None}

    with pytest.raises(ValidationError, match=message):
        check_item(table, item)


def test_no_secret_is_in_a_message() -> None:
    with pytest.raises(ValidationError) as caught:
        check_item(CREDENTIALS, {**KEY, "salt": HASH.decode()})

    assert find(str(caught.value)) == []
