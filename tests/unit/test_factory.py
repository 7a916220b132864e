"""The factories build objects, and store those that they create."""

from __future__ import annotations

import pytest

from open_alchemy import package_database
from open_alchemy.package_database.factory import CredentialsFactory, SpecFactory

pytestmark = pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")


def test_a_batch_of_specs_is_stored_when_it_is_created() -> None:
    specs = SpecFactory.create_batch(3, sub="u1", model_count=2)

    assert len({spec.name for spec in specs}) == 3
    assert package_database.get().count_customer_models(sub="u1") == 6


def test_created_credentials_are_stored() -> None:
    created = CredentialsFactory.create(sub="u1")
    CredentialsFactory.create_batch(2, sub="u1")

    assert len(package_database.get().list_credentials(sub="u1")) == 3
    assert package_database.get().get_user(public_key=created.public_key) is not None


def test_a_built_spec_is_stored_by_save() -> None:
    spec = SpecFactory.build(sub="u1")
    SpecFactory.build_batch(2, sub="u1")
    before = package_database.get().list_specs(sub="u1")

    spec.save()

    assert before == []
    assert len(package_database.get().list_specs(sub="u1")) == 1
