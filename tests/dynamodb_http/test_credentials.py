"""The sources of credentials; tests/faults shows that they are refreshed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database.engines.dynamodb.boto3_client import Boto3Client, find_region
from open_alchemy.package_database.engines.dynamodb.config import Credentials, DynamoDBConfig
from open_alchemy.package_database.engines.dynamodb.http.credentials import BotocoreCredentials, find_source

PROD = DynamoDBConfig("PROD", "eu-west-1")
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}


def test_credentials_of_the_environment_are_cached() -> None:
    source = find_source(PROD, KEYS)

    assert source.cached() == source.fetch() == Credentials("id", "secret", "token")


def test_credentials_of_the_configuration_take_precedence() -> None:
    given = Credentials("given", "secret")

    assert find_source(DynamoDBConfig("TEST", "eu-west-1", credentials=given), KEYS).cached() is given


@pytest.mark.parametrize(
    "environment", [{}, {"AWS_ACCESS_KEY_ID": "id"}, KEYS | {"AWS_CREDENTIAL_EXPIRATION": "2026-11-21T10:00:00Z"}]
)
def test_botocore_finds_all_other_credentials(environment: dict[str, str]) -> None:
    assert isinstance(find_source(PROD, environment), BotocoreCredentials)


class Found:
    """Stands for botocore's refreshable credentials."""

    def __init__(self) -> None:
        self.needs_refresh = True
        self.frozen = Credentials("first", "secret")

    def refresh_needed(self) -> bool:
        return self.needs_refresh

    def get_frozen_credentials(self) -> Any:
        class Frozen:
            access_key, secret_key, token = self.frozen.access_key_id, self.frozen.secret_access_key, None

        return Frozen()


def test_credentials_are_cached_until_they_must_be_refreshed() -> None:
    source, found = BotocoreCredentials(), Found()
    source._found = found

    before = source.cached()
    first = source.fetch()
    found.needs_refresh = False
    between = source.cached()
    found.needs_refresh, found.frozen = True, Credentials("second", "secret")
    expired = source.cached()

    assert (before, expired) == (None, None)
    assert first is between
    assert first == Credentials("first", "secret")
    assert source.fetch() == Credentials("second", "secret")


def test_the_same_credentials_are_the_same_object() -> None:
    """So that the signing key is derived once."""
    source = find_source(PROD, KEYS)

    assert source.cached() is source.cached()


@pytest.mark.usefixtures("no_credentials")
def test_config_files_that_must_not_be_read_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        path = tmp_path / name
        path.write_text("[default]\nregion = eu-west-1\naws_access_key_id = a\naws_secret_access_key = b\n")
        monkeypatch.setenv(name, str(path))
    readable = BotocoreCredentials().fetch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    assert readable == Credentials("a", "b")
    assert BotocoreCredentials().fetch() is None
    assert find_region() is None
    Boto3Client(DynamoDBConfig("PROD", "eu-west-1"))
