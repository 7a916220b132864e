"""The configuration from the environment, and the database that ``get()`` shares in a process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConfigurationError, RefusedError, types
from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.engines.dynamodb.config import (
    DUMMY_CREDENTIALS,
    Credentials,
    DynamoDBConfig,
    read_stage,
)
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.instances import api
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.testing.memory import MemoryConfig, MemoryEngine


def configure(**environment: str) -> DynamoDBConfig:
    return read_stage(environment, find_region=lambda: None)


def test_the_test_stage_needs_no_other_variable() -> None:
    assert configure(STAGE="TEST") == DynamoDBConfig(
        "TEST", "us-east-1", "http://localhost:8000", DUMMY_CREDENTIALS, deadline=5.0
    )


def test_the_test_stage_uses_the_variables_that_are_set() -> None:
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


def test_incomplete_credentials_are_ignored() -> None:
    assert configure(STAGE="TEST", AWS_ACCESS_KEY_ID="id").credentials == DUMMY_CREDENTIALS


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("broken", ["canary\n", "canary\r\nX-Evil: 1", "canary\udcff", "canäry", "can ary"])
def test_credentials_with_characters_that_headers_forbid_are_not_shown(variable: str, broken: str) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "canary", variable: broken}

    with pytest.raises(ConfigurationError, match=f"the AWS {variable.removeprefix('AWS_').lower()} has") as caught:
        configure(STAGE="TEST", **environment)

    assert "canary" not in str(caught.value)
    assert "can\u00e4ry" not in str(caught.value)


def test_a_region_with_characters_that_headers_forbid_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the AWS region must be"):
        configure(STAGE="TEST", AWS_REGION="eu-west-1\r\nX-Evil: 1")


def test_the_prod_stage_is_aws() -> None:
    assert configure(STAGE="PROD", AWS_DEFAULT_REGION="eu-west-1") == DynamoDBConfig("PROD", "eu-west-1")
    assert configure(STAGE="PROD", AWS_REGION="a", AWS_DEFAULT_REGION="b").region == "a"


def test_the_region_may_come_from_a_profile() -> None:
    found = read_stage({"STAGE": "PROD"}, find_region=lambda: "eu-central-1")

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
            for url in (
                "localhost:8000",
                "ftp://localhost",
                "http://",
                "http://localhost:x",
                "http://localhost:65536",
                "http\u017f://localhost",
                "http://[::1",
            )
        ],
        *[
            ({"STAGE": "TEST", "PACKAGE_DATABASE_DEADLINE": seconds}, "PACKAGE_DATABASE_DEADLINE must be a number")
            for seconds in ("0", "-1", "nan", "inf", "five")
        ],
    ],
)
def test_a_missing_or_invalid_variable_is_named(environment: dict[str, str], message: str) -> None:
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
def test_get_raises_until_the_environment_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGE")
    with pytest.raises(
        ConfigurationError,
        match=r"no database is configured: set .*PACKAGE_DATABASE_URL=sqlite:///specs\.db, or STAGE=TEST",
    ):
        package_database.get()

    monkeypatch.setenv("STAGE", "TEST")
    assert package_database.get() is package_database.get()


@pytest.mark.usefixtures("fresh_process")
def test_a_database_that_was_returned_follows_the_default_instance() -> None:
    database: Any = package_database.get()
    asynchronous: Any = package_database.get_async()

    api.set_default(lambda: DynamoDBConfig("TEST", "eu-west-1", "http://127.0.0.1:1", deadline=7))

    assert package_database.get() is database
    assert cast("Any", database).engine.config.deadline == 7
    assert package_database.get_async() is asynchronous
    assert cast("Any", asynchronous).engine.config.deadline == 7


@pytest.mark.usefixtures("fresh_process")
def test_a_call_finishes_on_the_engine_on_which_it_started() -> None:
    database: Any = package_database.get()
    started: list[object] = []

    class Switching(MemoryConfig):
        def open_engine(self, tables: object) -> MemoryEngine:
            engine = MemoryEngine()
            execute = engine.execute

            def switch(operation: Any, deadline: Any) -> Any:
                started.append(engine)
                api.set_default(Switching)
                return execute(operation, deadline)

            engine.execute = switch  # type: ignore[method-assign]
            return engine

    api.set_default(Switching)

    database.delete_all(sub="u1")

    assert len(started) > 1
    assert len(set(map(id, started))) == 1


@pytest.mark.usefixtures("fresh_process")
def test_the_shared_database_can_be_used_again_after_it_was_closed(tmp_path: Path) -> None:
    config = SQLiteConfig(tmp_path / "a.db")
    api.set_default(lambda: config)
    database: Any = package_database.get()
    database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
    engine = database.engine

    database.close()

    assert database.get_latest_spec_version(sub="u1", name="a") == "1"
    with pytest.raises(RefusedError, match="the database was closed"):
        open_database(engine).get_spec(sub="u1", name="a")


@pytest.mark.usefixtures("fresh_process")
def test_the_shared_async_database_serves_a_program_that_starts_twice(tmp_path: Path) -> None:
    api.set_default(lambda: SQLiteConfig(tmp_path / "a.db"))

    async def main() -> list[str]:
        async with package_database.get_async() as database:
            await database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
            return [spec["id"] for spec in await database.list_specs(sub="u1")]

    assert asyncio.run(main()) == asyncio.run(main()) == ["a"]


def test_an_instance_that_is_selected_is_used_in_its_context_only(tmp_path: Path) -> None:
    before = api.current()
    database: Any = package_database.get()

    with api.use(Instance(SQLiteConfig(tmp_path / "a.db"))):
        database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
        thread_sees: list[object] = []
        thread = threading.Thread(target=lambda: thread_sees.append(api.current()))
        thread.start()
        thread.join()

    assert thread_sees == [before]
    assert api.current() is before
    with package_database.connect(f"sqlite:///{tmp_path / 'a.db'}") as opened:
        assert opened.get_latest_spec_version(sub="u1", name="a") == "1"


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


def test_the_http_client_loads_no_slow_module() -> None:
    program = """
import sys
before = {*sys.modules}
from open_alchemy import package_database
from open_alchemy.package_database import database
from open_alchemy.package_database.engines.dynamodb.http import client
slow = {"ast", "asyncio", "dataclasses", "email", "inspect", "ipaddress", "logging", "pathlib", "random", "ssl"}
print(sorted(slow & (sys.modules.keys() - before)))
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


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in package_database.__all__ if not hasattr(package_database, name)] == []
    assert len(set(package_database.__all__)) == len(package_database.__all__)


def test_the_type_of_get_user_is_the_same_in_both_modules() -> None:

    assert types.CredentialsAuthInfo is package_database.CredentialsAuthInfo
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = types.other  # type: ignore[attr-defined]


def test_every_error_derives_from_the_base() -> None:
    errors = [
        value
        for name in package_database.__all__
        if name.endswith("Error") and (value := getattr(package_database, name))
    ]

    assert len(errors) == 7
    assert all(issubclass(error, package_database.BaseError) for error in errors)
