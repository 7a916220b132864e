"""The workflows call what is there, and only main comes near AWS and PyPI."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

import pytest
import yaml

from delivery.project import ROOT
from delivery.released import INDEXES

FOLDER = ROOT / ".github" / "workflows"
ONLY_MAIN = "github.event_name == 'push' && github.ref == 'refs/heads/main'"


def load(name: str) -> dict[str, Any]:
    # YAML 1.1 reads the key "on" as true, and a text stays what it is.
    loaded: dict[str, Any] = yaml.load((FOLDER / name).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    return loaded


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = load(name)["jobs"]
    return found


CI_CD = jobs("ci-cd-database.yaml")
PRODUCTION_TEST = jobs("production-test-database.yaml")["production-test"]
COMMANDS = {step["run"] for job in [*CI_CD.values(), PRODUCTION_TEST] for step in job.get("steps", []) if "run" in step}
WITH_TOKEN = sorted(name for name, job in CI_CD.items() if "id-token" in job["permissions"])


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_step_calls_a_command_of_the_repository(command: str) -> None:
    script = ROOT / command.split(maxsplit=1)[0]

    assert script.parent == ROOT / "scripts"
    assert os.access(script, os.X_OK)


def test_the_tests_run_on_every_version_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]

    assert CI_CD["test"]["strategy"]["matrix"]["python-version"] == named


def test_the_jobs_that_get_a_token_are_known() -> None:
    assert WITH_TOKEN == [
        "deploy",
        "production-test-pypi",
        "production-test-test-pypi",
        "release-pypi",
        "release-test-pypi",
    ]


def test_a_deploy_is_only_on_main_and_after_the_tests() -> None:
    deploy = CI_CD["deploy"]

    assert deploy["if"] == f"${{{{ {ONLY_MAIN} }}}}"
    assert deploy["needs"] == ["test", "build"]
    assert deploy["environment"] == "production"


def test_what_is_tested_cannot_take_the_role_of_the_deploy() -> None:
    # A role on AWS trusts the environment that is in the token's subject.
    assert PRODUCTION_TEST["environment"] == "production-test" != CI_CD["deploy"]["environment"]


def test_the_guide_trusts_each_role_to_its_environment() -> None:
    guide = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    trusted = dict(re.findall(r"^ *\| `(package-database-\w+)` \| `([\w-]+)` \|", guide, re.MULTILINE))

    assert trusted == {
        "package-database-deploy": CI_CD["deploy"]["environment"],
        "package-database-test": PRODUCTION_TEST["environment"],
    }


def test_the_role_that_deploys_can_change_neither_an_item_nor_a_right() -> None:
    guide = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    allowed = re.findall(r'"((?:dynamodb|iam):\w+)"', guide)

    assert len(allowed) > 10
    assert [
        action for action in allowed if re.match(r"iam:(?!Get|List)|dynamodb:.*(Item|Query|Scan|DeleteTable)", action)
    ] == []


@pytest.mark.parametrize("name", ["release-test-pypi", "release-pypi"])
def test_a_release_is_only_after_a_deploy_and_where_it_is_required(name: str) -> None:
    release = CI_CD[name]

    # Without a status function such as always(), a job runs only where all that it needs succeeded.
    assert release["if"] == "${{ needs.release-required.outputs.result == 'true' }}"
    assert "deploy" in release["needs"]
    assert release["environment"]["name"] == name.removeprefix("release-").replace("-", "")


@pytest.mark.parametrize("name", ["production-test-test-pypi", "production-test-pypi"])
def test_a_production_test_is_only_after_a_deploy_whether_or_not_there_was_a_release(name: str) -> None:
    job = CI_CD[name]
    release = name.replace("production-test", "release")

    assert job["needs"] == ["deploy", "release-required", release]
    assert job["if"] == (
        # A release that was due and did not happen is skipped too, where something before it failed.
        "${{ !cancelled() && needs.deploy.result == 'success' && "
        f"(needs.{release}.result == 'success' || needs.release-required.outputs.result == 'false') }}}}"
    )


def test_a_version_reaches_pypi_only_after_its_production_test_from_test_pypi() -> None:
    assert "production-test-test-pypi" in CI_CD["release-pypi"]["needs"]


def test_what_is_released_is_what_was_built() -> None:
    upload = CI_CD["build"]["steps"][-1]["with"]
    downloads = [CI_CD[name]["steps"][0]["with"] for name in ("release-test-pypi", "release-pypi")]

    assert [upload["name"]] * 2 == [download["name"] for download in downloads]
    assert [step["uses"].partition("@")[0] for step in CI_CD["release-pypi"]["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


def test_the_indexes_are_those_of_the_command() -> None:
    default = PRODUCTION_TEST["strategy"]["matrix"]["index"]
    called = [CI_CD[name]["with"]["indexes"] for name in WITH_TOKEN if "with" in CI_CD[name]]

    assert re.findall(r'"(\w+)"', default) == list(INDEXES)
    assert re.findall(r'"(\w+)"', "".join(called)) == list(INDEXES)


def test_no_run_on_main_is_cancelled_by_the_next() -> None:
    concurrency = load("ci-cd-database.yaml")["concurrency"]

    assert concurrency == {
        "group": "ci-cd-database-${{ github.ref }}",
        "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
    }


@pytest.mark.parametrize("lock", [path.parent.name for path in ROOT.glob("*/package-lock.json")])
def test_a_lock_file_names_no_registry(lock: str) -> None:
    assert "resolved" not in (ROOT / lock / "package-lock.json").read_text(encoding="utf-8")


def test_the_guide_names_every_job_variable_and_environment() -> None:
    guide = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.iterdir())
    names = {*CI_CD, *re.findall(r"vars\.(\w+)", text), *re.findall(r"environment:(?:\n +name:)? ([\w-]+)", text)}

    assert {"deploy", "AWS_REGION", "production", "production-test", "pypi", "testpypi"} <= names
    assert {name for name in names if f"`{name}`" not in guide} == set()
