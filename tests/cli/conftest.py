"""A DynamoDB without tables for the commands that create and describe them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import other_region


@pytest.fixture
def without_tables(_database: str, not_opened: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a DynamoDB without tables, which the commands use."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", _database)
    monkeypatch.setenv("AWS_REGION", other_region.REGION)
    with other_region.emptied(_database):
        yield _database
