"""Tests of a service that uses the pytest plugin; the suite ``pytest`` measures them."""

from __future__ import annotations

import pytest

from open_alchemy import package_database


@pytest.mark.parametrize("number", range(200))
@pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")
def test_specs_and_credentials_are_found(number: int) -> None:
    database = package_database.get()
    database.create_update_spec(sub="user", name="My.Spec", version=str(number), model_count=3)
    database.create_update_credentials(
        sub="user", id_="laptop", public_key="key", secret_key_hash=b"hash", salt=b"salt"
    )

    user = database.get_user(public_key="key")

    assert database.get_latest_spec_version(sub="user", name="my-spec") == str(number)
    assert [info["id"] for info in database.list_specs(sub="user")] == ["my-spec"]
    assert user is not None
    assert user.sub == "user"
