"""The engines of the in-memory model; the contract tests run its operations."""

from __future__ import annotations

import pytest

from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import MemoryConfig, MemoryEngine


def test_every_engine_of_a_configuration_has_a_store_of_its_own() -> None:
    config = MemoryConfig(deadline=2)
    one, other, awaited = config.open_engine(TABLES), config.open_engine(TABLES), config.open_async_engine(TABLES)
    open_database(one).create_update_spec(sub="u1", name="a", version="1", model_count=1)

    assert (len(one.store.items), len(other.store.items), len(awaited.store.items)) == (2, 0, 0)
    assert {one.config, other.config, awaited.config} == {config}
    assert config.location == "memory"


def test_a_model_has_no_tables_to_administer() -> None:
    with pytest.raises(NotImplementedError):
        MemoryEngine().administration()
