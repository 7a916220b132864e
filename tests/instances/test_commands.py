"""The options ``--instance`` and ``--to-instance``, and the command ``instances``."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from open_alchemy import package_database
from open_alchemy.package_database.cli import tour
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.testing.local_instances import LocalInstances


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments)


def succeed(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def publish(instance: str) -> None:
    succeed("publish", str(tour.EXAMPLES / "library-2.0.yaml"), "--sub", "u1", "--instance", instance)


def test_a_command_works_on_the_instance_that_its_option_names(_instances: LocalInstances) -> None:
    publish("one")
    succeed("tables", "create", "--instance", "two")

    assert json.loads(succeed("count", "u1", "--json", "--instance", "one"))["model_count"] > 0
    assert json.loads(succeed("count", "u1", "--json", "--instance", "two"))["model_count"] == 0
    assert package_database.instance_id() is None
    assert "All results are correct" in succeed("tour", "--instance", "two")


def test_without_the_option_a_command_works_on_the_default(_instances: LocalInstances) -> None:
    publish("one")
    refused = run("specs", "u1")
    _instances.write("one", default="one")

    assert refused.exit_code == 2
    assert "--instance for a command" in refused.output
    assert "library" in succeed("specs", "u1")


def test_an_instance_that_does_not_exist_is_refused(_instances: LocalInstances) -> None:
    unknown = run("specs", "u1", "--instance", "three")
    both = run("specs", "u1", "--instance", "one", "--url", "sqlite://")
    unused = run("specs", "u1", "--instance", "one")

    assert (unknown.exit_code, both.exit_code, unused.exit_code) == (1, 2, 1)
    assert f"there is no instance 'three' in {_instances.path}" in unknown.output
    assert "expected --url or --instance, not both" in both.output
    assert "one.db does not exist" in unused.output


def test_the_instances_are_listed_with_their_stores(_instances: LocalInstances) -> None:
    _instances.write("one", "example.com", default="example.com")

    rows = json.loads(succeed("instances", "--json"))

    folder = _instances.path.parent
    assert rows == [
        {"id": "one", "store": str(folder / "one.db"), "default": None},
        {"id": "example.com", "store": str(folder / "example.com.db"), "default": "default"},
    ]


def test_without_a_file_there_is_nothing_to_list(fresh_process: None) -> None:
    result = run("instances")

    assert result.exit_code == 2
    assert "PACKAGE_DATABASE_INSTANCES is not set" in result.output


@pytest.mark.parametrize("target", ["--to-instance two", "URL"])
def test_an_instance_is_copied(_instances: LocalInstances, target: str) -> None:
    publish("one")

    printed = succeed("copy", "--instance", "one", *target.replace("URL", _instances.url("two")).split())

    assert "verified: " in printed
    assert "library" in succeed("specs", "u1", "--instance", "two")


def test_a_store_is_copied_to_an_instance(_instances: LocalInstances) -> None:
    publish("one")

    assert "verified: " in succeed("copy", _instances.url("one"), "--to-instance", "two")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--instance", "one"], 2, "expected FROM_URL or --instance, and TO_URL or --to-instance"),
        (["sqlite://"], 2, "expected FROM_URL or --instance"),
        (["--instance", "one", "--to-instance", "two", "sqlite://"], 2, "expected FROM_URL or --instance"),
        (["--instance", "one", "--to-instance", "three"], 1, "there is no instance 'three'"),
        (["--instance", "one", "--to-instance", "one"], 2, "the instance one and the instance one are the same store"),
        (["--instance", "one", "sqlite://"], 2, "TO_URL is sqlite://, which is in memory"),
    ],
)
def test_a_copy_has_two_stores(_instances: LocalInstances, arguments: list[str], code: int, message: str) -> None:
    result = run("copy", *arguments)

    assert result.exit_code == code
    assert message in result.output
