"""Where the lean wire's credentials come from; that they are refreshed is shown in tests/faults."""

from __future__ import annotations

from typing import Any

import pytest

from open_alchemy.package_database.engines.dynamodb.config import Credentials, DynamoDBConfig
from open_alchemy.package_database.engines.dynamodb.http.credentials import Resolved, find_source

PROD = DynamoDBConfig("PROD", "eu-west-1")
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}


def test_those_of_the_environment_are_at_hand() -> None:
    source = find_source(PROD, KEYS)

    assert source.at_hand() == source.fetch() == Credentials("id", "secret", "token")


def test_those_of_the_configuration_come_first() -> None:
    given = Credentials("given", "secret")

    assert find_source(DynamoDBConfig("TEST", "eu-west-1", credentials=given), KEYS).at_hand() is given


@pytest.mark.parametrize(
    "environment", [{}, {"AWS_ACCESS_KEY_ID": "id"}, KEYS | {"AWS_CREDENTIAL_EXPIRATION": "2026-11-21T10:00:00Z"}]
)
def test_all_others_are_for_botocore_to_find(environment: dict[str, str]) -> None:
    assert isinstance(find_source(PROD, environment), Resolved)


class Found:
    """What botocore has found."""

    def __init__(self) -> None:
        self.needs_refresh = True
        self.frozen = Credentials("first", "secret")

    def refresh_needed(self) -> bool:
        return self.needs_refresh

    def get_frozen_credentials(self) -> Any:
        class Frozen:
            access_key, secret_key, token = self.frozen.access_key_id, self.frozen.secret_access_key, None

        return Frozen()


def test_they_are_at_hand_until_they_must_be_refreshed() -> None:
    source, found = Resolved(), Found()
    source._found = found

    before = source.at_hand()
    first = source.fetch()
    found.needs_refresh = False
    between = source.at_hand()
    found.needs_refresh, found.frozen = True, Credentials("second", "secret")
    expired = source.at_hand()

    assert (before, expired) == (None, None)
    assert first is between
    assert first == Credentials("first", "secret")
    assert source.fetch() == Credentials("second", "secret")


def test_the_same_credentials_are_the_same_object() -> None:
    """So that the signing key is derived once."""
    source = find_source(PROD, KEYS)

    assert source.at_hand() is source.at_hand()
