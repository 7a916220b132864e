"""moto's CloudFormation deploys the template, and the production tests run against the result.

moto creates no alarms, and ignores point-in-time recovery and encryption; ``test_template`` checks them.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import boto3
import pytest

from open_alchemy import package_database
from open_alchemy.package_database import RefusedError, TDatabase, pytest_plugin
from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.engines.dynamodb.administration import create_table
from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS
from open_alchemy.package_database.model import ACCESS_PATTERNS
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing import dynamodb_server
from tests.infrastructure.policy_enforcement import ACCOUNT
from tests.infrastructure.synthesis import ROOT, Synthesis

PRODUCTION = ROOT / "tests" / "production"
REGION = "eu-west-1"
STACK = "PackageDatabase"

FAILS = """
def test_fails(database, sub):
    database.create_update_spec(sub=sub, name="a", version="1", model_count=1)
    database.create_update_credentials(sub=sub, id_="a", public_key="a", secret_key_hash=b"", salt=b"")
    assert database.list_specs(sub=sub) == []
"""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A local AWS with the stack."""

    url: str

    def client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=DUMMY_CREDENTIALS.access_key_id,
            aws_secret_access_key=DUMMY_CREDENTIALS.secret_access_key,
        )

    def user(self, policy: str, suffix: str = "") -> dict[str, str]:
        """Creates a user with one policy of the stack, and returns its credentials as environment variables."""
        iam = self.client("iam")
        name = policy + suffix
        iam.create_user(UserName=name)
        iam.attach_user_policy(UserName=name, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/{policy}")
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def stacks(self) -> list[Any]:
        found: list[Any] = self.client("cloudformation").describe_stacks()["Stacks"]
        return found


@contextmanager
def deployed(synthesis: Synthesis) -> Iterator[Cloud]:
    with dynamodb_server.run(module="tests.infrastructure.aws") as url:
        cloud = Cloud(url)
        cloud.client("cloudformation").create_stack(
            StackName=STACK,
            TemplateBody=synthesis.file.read_text(encoding="utf-8"),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        yield cloud


@pytest.fixture(scope="module")
def cloud(synthesis: Synthesis) -> Iterator[Cloud]:
    with deployed(synthesis) as cloud:
        yield cloud


def run_production_tests(
    folder: Path, path: str = "production", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a copy of the production tests in a folder without the repository."""
    shutil.copytree(PRODUCTION, folder / "production", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_", "STAGE"))}
    # Other plugins take most of the time to start.
    inherited |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": pytest_plugin.__name__}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "--strict-markers", path],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def of(cloud: Cloud) -> dict[str, str]:
    """Returns the environment variables for the production tests, with all permissions."""
    return {
        "STAGE": "PROD",
        "AWS_ENDPOINT_URL_DYNAMODB": cloud.url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": DUMMY_CREDENTIALS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": DUMMY_CREDENTIALS.secret_access_key,
    }


def count_items(cloud: Cloud) -> dict[str, int]:
    return {table.name: cloud.client("dynamodb").scan(TableName=table.name)["Count"] for table in TABLES}


def test_the_outputs_of_the_deployed_stack_are_the_names_and_arns(cloud: Cloud) -> None:
    (stack,) = cloud.stacks()

    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert outputs["SpecsTableName"] == "package.specs"
    assert outputs["CredentialsTableName"] == "package.credentials"
    assert outputs["SpecsTableArn"].endswith(":table/package.specs")
    assert outputs["CredentialsTableArn"].endswith(":table/package.credentials")
    assert outputs["SpecsReadOnlyPolicyArn"].endswith(":policy/PackageDatabaseSpecsReadOnly")
    assert outputs["ProductionTestPolicyArn"].endswith(":policy/PackageDatabaseProductionTest")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_deployed_table_equals_the_schema_and_is_protected(cloud: Cloud, table: Table) -> None:
    request = create_table(table)

    description = cloud.client("dynamodb").describe_table(TableName=table.name)["Table"]

    assert description["KeySchema"] == request["KeySchema"]
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        indexes = [(index["IndexName"], index["KeySchema"]) for index in description.get(kind, ())]
        assert indexes == [(index["IndexName"], index["KeySchema"]) for index in request.get(kind, ())]
    assert description["DeletionProtectionEnabled"] is True


@pytest.mark.long
def test_the_tables_are_kept_when_the_stack_is_deleted(synthesis: Synthesis) -> None:
    with deployed(synthesis) as cloud:
        cloud.client("cloudformation").delete_stack(StackName=STACK)

        assert cloud.stacks() == []
        assert cloud.client("dynamodb").list_tables()["TableNames"] == [table.name for table in TABLES]


def test_the_production_tests_pass_against_the_deployed_tables_with_their_policy(cloud: Cloud, tmp_path: Path) -> None:
    credentials = cloud.user("PackageDatabaseProductionTest")

    finished = run_production_tests(tmp_path, **(of(cloud) | credentials))

    version = metadata.version("open-alchemy.package-database")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "3 passed" in finished.stdout
    assert f"tested version {version} in {ROOT}/open_alchemy/package_database, with DynamoDB at {cloud.url}" in (
        finished.stdout
    )
    assert count_items(cloud) == {"package.specs": 0, "package.credentials": 0}


def test_the_policy_of_the_production_tests_refuses_other_users(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with restricted(cloud, monkeypatch, "PackageDatabaseProductionTest", "-refusal") as database:
        database.create_update_spec(sub="test.u1", name="a", version="1", model_count=1)
        refused: list[Callable[[], object]] = [
            lambda: database.create_update_spec(sub="alice", name="a", version="1", model_count=1),
            lambda: database.get_spec(sub="alice", name="a"),
            lambda: database.list_spec_versions(sub="alice", name="a"),
            lambda: database.list_credentials(sub="alice"),
            lambda: database.get_user(public_key="alice's key"),
            lambda: database.delete_all(sub="alice"),
        ]
        for call in refused:
            with pytest.raises(RefusedError, match="AccessDenied"):
                call()
        database.delete_all(sub="test.u1")


def test_a_reader_of_specs_cannot_read_credentials(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with restricted(cloud, monkeypatch, "PackageDatabaseSpecsReadOnly") as database:
        assert database.list_specs(sub="alice") == []
        refused: list[Callable[[], object]] = [
            lambda: database.get_user(public_key="key"),
            lambda: database.list_credentials(sub="alice"),
            lambda: database.create_update_spec(sub="alice", name="a", version="1", model_count=1),
        ]
        for call in refused:
            with pytest.raises(RefusedError, match="AccessDenied"):
                call()


@contextmanager
def restricted(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, policy: str, suffix: str = "") -> Iterator[TDatabase]:
    """Opens the deployed tables with the permissions of one policy."""
    for name, value in (of(cloud) | cloud.user(policy, suffix)).items():
        monkeypatch.setenv(name, value)
    with package_database.connect("dynamodb://eu-west-1") as database:
        yield database


def test_a_failing_production_test_deletes_its_items(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "production").mkdir()
    (tmp_path / "production" / "test_fails.py").write_text(FAILS)

    finished = run_production_tests(tmp_path, **of(cloud))

    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert "1 failed, 3 passed" in finished.stdout
    assert count_items(cloud) == {"package.specs": 0, "package.credentials": 0}


def test_the_production_tests_are_not_collected_unless_the_stage_is_prod(tmp_path: Path) -> None:
    finished = run_production_tests(tmp_path, STAGE="TEST")

    assert finished.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "nothing is tested, because STAGE is not PROD" in finished.stdout


def test_a_named_production_test_fails_unless_the_stage_is_prod(tmp_path: Path) -> None:
    finished = run_production_tests(tmp_path, "production/test_production.py", STAGE="TEST")

    assert finished.returncode == pytest.ExitCode.TESTS_FAILED
    assert "3 errors" in finished.stdout
    assert "nothing is tested, because STAGE is not PROD" in finished.stdout


def test_the_production_tests_refuse_another_store(tmp_path: Path) -> None:
    """Without the plugin of the package, ``get()`` would open the other store."""
    url = f"sqlite:///{tmp_path}/other.db"

    finished = run_production_tests(
        tmp_path, STAGE="PROD", AWS_REGION=REGION, PACKAGE_DATABASE_URL=url, PYTEST_PLUGINS=""
    )

    assert finished.returncode == pytest.ExitCode.TESTS_FAILED
    assert "3 errors" in finished.stdout
    assert "nothing is tested, because PACKAGE_DATABASE_URL is set: it names another store" in finished.stdout


def test_the_production_tests_call_every_function() -> None:
    tree = ast.parse((PRODUCTION / "test_production.py").read_text(encoding="utf-8"))

    called = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "database"
    }

    assert called == {pattern.name for pattern in ACCESS_PATTERNS}
