"""An invalid stored item raises RefusedError with the key of the item and the attribute, on every store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database import RefusedError, TDatabase
from open_alchemy.package_database.core.operations import Put, Transact
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.model.schema import SPECS
from tests.apis import APIS, config_of, connect_to, execute, open_api
from tests.canned_server import serve, succeed

SPEC: dict[str, Any] = {
    "sub": {"S": "u1"},
    "id": {"S": "a"},
    "name": {"S": "a"},
    "version": {"S": "1.0"},
    "updated_at": {"S": "5"},
    "model_count": {"N": "1"},
    "updated_at_id": {"S": "latest#a"},
    "id_updated_at": {"S": "a#latest"},
    "title": {"S": "t"},
}
KEY: dict[str, Any] = {
    "sub": {"S": "u1"},
    "id": {"S": "1"},
    "public_key": {"S": "pk"},
    "secret_key_hash": {"B": "aGFzaA=="},
    "salt": {"B": "c2FsdA=="},
}


def list_specs(database: TDatabase) -> object:
    return database.list_specs(sub="u1")


def get_spec(database: TDatabase) -> object:
    return database.get_spec(sub="u1", name="a")


def get_latest_spec_version(database: TDatabase) -> object:
    return database.get_latest_spec_version(sub="u1", name="a")


def list_spec_versions(database: TDatabase) -> object:
    return database.list_spec_versions(sub="u1", name="a")


def count_customer_models(database: TDatabase) -> object:
    return database.count_customer_models(sub="u1")


def delete_all_specs(database: TDatabase) -> None:
    database.delete_all_specs(sub="u1")


def delete_spec(database: TDatabase) -> None:
    database.delete_spec(sub="u1", name="a")


def get_credentials(database: TDatabase) -> object:
    return database.get_credentials(sub="u1", id_="1")


def list_credentials(database: TDatabase) -> object:
    return database.list_credentials(sub="u1")


def get_user(database: TDatabase) -> object:
    return database.get_user(public_key="pk")


def delete_all_credentials(database: TDatabase) -> None:
    database.delete_all_credentials(sub="u1")


Call = Callable[[TDatabase], object]
OF_CREDENTIALS = (get_credentials, list_credentials, get_user, delete_all_credentials)
CASES: list[tuple[Call, str, object]] = [
    (list_specs, "model_count", {"N": "1.5"}),
    (list_specs, "model_count", {"N": "9" * 5_000}),
    (list_specs, "model_count", {"S": "1"}),
    (list_specs, "model_count", None),
    (list_specs, "updated_at", {"S": "5.0"}),
    (list_specs, "updated_at", {"S": "9" * 5_000}),
    (list_specs, "version", {"L": []}),
    (list_specs, "title", {"N": "1"}),
    (list_specs, "id", None),
    (get_spec, "updated_at", {"S": ""}),
    (get_spec, "name", None),
    (get_latest_spec_version, "version", None),
    (list_spec_versions, "updated_at", None),
    (list_spec_versions, "updated_at_id", None),
    (list_spec_versions, "version", {"BOOL": True}),
    (count_customer_models, "model_count", {"N": "1.5"}),
    (delete_all_specs, "id", {"N": "1"}),
    (delete_spec, "updated_at", {"S": "now"}),
    (delete_spec, "revision", {"N": "1"}),
    (get_credentials, "salt", {"S": "salt"}),
    (get_credentials, "public_key", None),
    (list_credentials, "salt", None),
    (get_user, "secret_key_hash", None),
    (get_user, "public_key", {"NULL": True}),
    (get_user, "id", None),
    (delete_all_credentials, "id", None),
]


def _without(item: dict[str, Any], attribute: str, value: object) -> dict[str, Any]:
    return {name: typed for name, typed in {**item, attribute: value}.items() if typed is not None}


@pytest.mark.parametrize(
    ("api", "call", "attribute", "value"),
    [
        pytest.param(api, *case, marks=() if (number + shift) % len(APIS) == 0 else pytest.mark.long)
        for number, case in enumerate(CASES)
        for shift, api in enumerate(APIS)
    ],
)
def test_a_damaged_item_of_dynamodb_is_refused_and_named(api: str, call: Call, attribute: str, value: object) -> None:
    item = _without(KEY if call in OF_CREDENTIALS else SPEC, attribute, value)
    with (
        serve(succeed({"Item": item, "Items": [item]})) as server,
        open_api(api, config_of(server.url)) as database,
        pytest.raises(RefusedError, match=f"damaged: {attribute} (must be|is missing)") as caught,
    ):
        call(database)

    assert caught.value.code == "DamagedItem"
    assert "u1" in str(caught.value) or "'pk'" in str(caught.value)
    assert "salt'" not in str(caught.value)


@pytest.mark.parametrize(("attribute", "value"), [("updated_at", "5.0"), ("version", None), ("model_count", None)])
def test_a_damaged_item_of_sqlite_is_refused_and_named(tmp_path: Path, attribute: str, value: str | None) -> None:
    item = {
        "sub": "damaged",
        "id": "a",
        "name": "a",
        "version": "1.0",
        "updated_at": "5",
        "model_count": 1,
        "updated_at_id": "latest#a",
        "id_updated_at": "a#latest",
    }
    database = connect_to(SQLiteConfig(tmp_path / "db"))
    execute(database, Transact((Put(SPECS, _without(item, attribute, value)),)))

    with database, pytest.raises(RefusedError, match=f"'damaged', .*damaged: {attribute} "):
        database.list_specs(sub="damaged")


def test_attributes_that_the_schema_does_not_contain_are_ignored() -> None:
    item = {**KEY, "other": {"L": [{"S": "x"}]}, "number": {"N": "1.5"}}
    with serve(succeed({"Item": item})) as server, open_api("lean", config_of(server.url)) as database:
        assert database.get_credentials(sub="u1", id_="1") == {"id": "1", "public_key": "pk", "salt": b"salt"}
