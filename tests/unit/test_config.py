"""From the environment to the configuration, and the one facade of a process."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConfigurationError, instances
from open_alchemy.package_database.engines.config import DUMMY_CREDENTIALS, Credentials, DynamoDBConfig
from open_alchemy.package_database.engines.registry import from_environment


def no_region() -> None:
    return None


def configure(**environment: str) -> DynamoDBConfig:
    found = from_environment(environment, find_region=no_region)
    assert isinstance(found, DynamoDBConfig)
    return found


def test_the_test_stage_needs_nothing_else() -> None:
    assert configure(STAGE="TEST") == DynamoDBConfig(
        "TEST", "us-east-1", "http://localhost:8000", DUMMY_CREDENTIALS, deadline=5.0
    )


def test_the_test_stage_takes_what_is_set() -> None:
    found = configure(
        STAGE="TEST",
        AWS_ENDPOINT_URL_DYNAMODB="https://127.0.0.1:9000",
        AWS_REGION="eu-west-1",
        AWS_ACCESS_KEY_ID="id",
        AWS_SECRET_ACCESS_KEY="canary",
        AWS_SESSION_TOKEN="canary-token",
        PACKAGE_DATABASE_DEADLINE="0.5",
    )

    assert found == DynamoDBConfig(
        "TEST", "eu-west-1", "https://127.0.0.1:9000", Credentials("id", "canary", "canary-token"), deadline=0.5
    )
    assert "canary" not in repr(found)


def test_half_of_the_credentials_is_none() -> None:
    assert configure(STAGE="TEST", AWS_ACCESS_KEY_ID="id").credentials == DUMMY_CREDENTIALS


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("broken", ["canary\n", "canary\r\nX-Evil: 1", "canary\udcff", "canäry", "can ary"])
def test_credentials_that_no_header_may_hold_are_not_shown(variable: str, broken: str) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "canary", variable: broken}

    with pytest.raises(ConfigurationError, match=f"the AWS {variable.removeprefix('AWS_').lower()} has") as caught:
        configure(STAGE="TEST", **environment)

    assert "canary" not in str(caught.value)
    assert "can\u00e4ry" not in str(caught.value)


def test_a_region_that_no_header_may_hold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the AWS region must be"):
        configure(STAGE="TEST", AWS_REGION="eu-west-1\r\nX-Evil: 1")


def test_the_prod_stage_is_aws() -> None:
    assert configure(STAGE="PROD", AWS_DEFAULT_REGION="eu-west-1") == DynamoDBConfig("PROD", "eu-west-1")
    assert configure(STAGE="PROD", AWS_REGION="a", AWS_DEFAULT_REGION="b").region == "a"


def test_the_region_may_come_from_a_profile() -> None:
    found = from_environment({"STAGE": "PROD"}, find_region=lambda: "eu-central-1")

    assert found == DynamoDBConfig("PROD", "eu-central-1")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "STAGE is not set: it must be TEST or PROD"),
        ({"STAGE": ""}, "STAGE is not set: it must be TEST or PROD"),
        ({"STAGE": "test"}, "STAGE is 'test': it must be TEST or PROD"),
        ({"STAGE": "PROD"}, "no AWS region: set AWS_REGION or AWS_DEFAULT_REGION"),
        *[
            ({"STAGE": "TEST", "AWS_ENDPOINT_URL_DYNAMODB": url}, "AWS_ENDPOINT_URL_DYNAMODB must be a URL")
            for url in ("localhost:8000", "ftp://localhost", "http://", "http://localhost:x", "http://[::1")
        ],
        *[
            ({"STAGE": "TEST", "PACKAGE_DATABASE_DEADLINE": seconds}, "PACKAGE_DATABASE_DEADLINE must be a number")
            for seconds in ("0", "-1", "nan", "inf", "five")
        ],
    ],
)
def test_what_is_missing_or_wrong_is_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configure(**environment)


@pytest.mark.usefixtures("fresh_process")
def test_get_returns_the_same_object_to_every_thread() -> None:
    found: list[object] = []
    barrier = threading.Barrier(16)

    def call() -> None:
        barrier.wait()
        found.append(package_database.get())

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 16
    assert set(map(id, found)) == {id(package_database.get())}


@pytest.mark.usefixtures("fresh_process")
def test_get_raises_until_the_environment_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGE")
    with pytest.raises(ConfigurationError, match="STAGE is not set"):
        package_database.get()

    monkeypatch.setenv("STAGE", "TEST")
    assert package_database.get() is package_database.get()


@pytest.mark.usefixtures("fresh_process")
def test_a_pinned_stage_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    instances.pin_stage("TEST")
    monkeypatch.setenv("STAGE", "PROD")

    assert instances.configure() == configure(STAGE="TEST")


def redirect(config: DynamoDBConfig) -> None:
    instances.redirect(instances.open_database(config), instances.open_async_database(config))


@pytest.mark.usefixtures("fresh_process")
def test_connecting_redirects_the_facade_that_was_returned() -> None:
    before = package_database.get()

    redirect(DynamoDBConfig("TEST", "eu-west-1", "http://127.0.0.1:1", deadline=7))

    assert package_database.get() is before
    assert instances._database is not None
    assert instances._database.deadline == 7


@pytest.mark.usefixtures("fresh_process")
def test_connecting_opens_the_facade_where_none_is_open() -> None:
    redirect(DynamoDBConfig("TEST", "eu-west-1", "http://127.0.0.1:1", deadline=7))

    assert package_database.get() is instances._database


@pytest.mark.usefixtures("fresh_process")
def test_a_function_can_be_replaced_by_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_database.get(), "list_specs", lambda *, sub: f"the specs of {sub}")

    assert repr(package_database.get().list_specs(sub="u1")) == "'the specs of u1'"


def run(program: str, **environment: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def test_the_import_loads_no_driver() -> None:
    program = """
import sys
from open_alchemy import package_database
from open_alchemy.package_database import *
heavy = {"boto3", "botocore", "urllib3", "moto", "pytest", "click", "rich", "packaging"}
print(sorted(heavy & sys.modules.keys()))
"""
    assert run(program) == "[]"


def test_get_loads_no_driver_and_reads_the_profile_only_for_a_region() -> None:
    program = """
import sys
from open_alchemy import package_database
package_database.get()
print(sorted({"boto3", "botocore"} & sys.modules.keys()))
"""
    assert run(program, STAGE="TEST") == "[]"
    assert run(program, STAGE="PROD", AWS_REGION="eu-west-1") == "[]"


def test_get_without_a_region_anywhere_names_the_variables() -> None:
    program = """
from open_alchemy import package_database
try:
    package_database.get()
except package_database.ConfigurationError as error:
    print(error)
"""
    printed = run(program, STAGE="PROD", AWS_CONFIG_FILE="/nonexistent", HOME="/nonexistent")
    assert "AWS_REGION" in printed
    assert "AWS_DEFAULT_REGION" in printed


def test_every_public_name_is_there() -> None:
    assert [name for name in package_database.__all__ if not hasattr(package_database, name)] == []
    assert len(set(package_database.__all__)) == len(package_database.__all__) == 19


def test_every_error_derives_from_the_base() -> None:
    errors = [
        value
        for name in package_database.__all__
        if name.endswith("Error") and (value := getattr(package_database, name))
    ]

    assert len(errors) == 7
    assert all(issubclass(error, package_database.BaseError) for error in errors)
