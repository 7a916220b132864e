"""The workflows call existing commands, and only the main branch gets access to AWS, PyPI and the releases."""

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
REPOSITORY = "open-alchemy/OpenAlchemyPackage"
ONLY_MAIN = (
    f"${{{{ github.event_name == 'push' && github.ref == 'refs/heads/main' && github.repository == '{REPOSITORY}' }}}}"
)


def load(name: str) -> dict[str, Any]:
    # BaseLoader keeps strings: YAML 1.1 reads the key "on" as true.
    loaded: dict[str, Any] = yaml.load((FOLDER / name).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    return loaded


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = load(name)["jobs"]
    return found


CI_CD = jobs("ci-cd-database.yaml")
PRODUCTION_TEST = jobs("production-test-database.yaml")["production-test"]
DAILY = jobs("daily-test-database.yaml")
COMMANDS = {
    step["run"]
    for job in [*CI_CD.values(), PRODUCTION_TEST, *DAILY.values()]
    for step in job.get("steps", [])
    if "run" in step
}


def write_permissions(job: dict[str, Any]) -> set[str]:
    return {name for name, access in job["permissions"].items() if access == "write"}


WITH_TOKEN = sorted(name for name, job in CI_CD.items() if write_permissions(job))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_step_runs_a_script_of_the_repository(command: str) -> None:
    script = ROOT / command.split(maxsplit=1)[0]

    assert script.parent == ROOT / "scripts"
    assert os.access(script, os.X_OK)


def test_the_tests_run_on_every_version_of_the_classifiers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)}

    assert named <= set(CI_CD["test"]["strategy"]["matrix"]["python-version"])


def test_the_smoke_tests_run_on_every_platform() -> None:
    included = CI_CD["smoke"]["strategy"]["matrix"]["include"]

    runs = {(each["os"].partition("-")[0], each["python-version"], each["option"]) for each in included}
    assert runs == {
        ("macos", "3.13", ""),
        ("windows", "3.13", ""),
        ("ubuntu", "3.11", "--lowest"),
        ("ubuntu", "3.14", "--pure"),
        ("ubuntu", "3.14t", "--pure"),
    }


def test_the_jobs_with_write_permissions_are_known() -> None:
    assert {name: write_permissions(CI_CD[name]) for name in WITH_TOKEN} == {
        "attest": {"id-token", "attestations"},
        "deploy": {"id-token"},
        "pages": {"id-token", "pages"},
        "production-test-pypi": {"id-token"},
        "production-test-test-pypi": {"id-token"},
        "release-github": {"contents"},
        "release-pypi": {"id-token"},
        "release-test-pypi": {"id-token"},
    }


def test_a_job_with_a_token_installs_nothing_that_is_not_locked() -> None:
    scripts = {
        step["run"].split()[0]
        for job in [*(CI_CD[name] for name in WITH_TOKEN), PRODUCTION_TEST, *DAILY.values()]
        for step in job.get("steps", [])
        if "run" in step
    }

    # test_locks.py, test_released.py and test_assembly.py test what these jobs install or execute.
    assert scripts == {
        "scripts/deploy",
        "scripts/github-release",
        "scripts/keep-schedule",
        "scripts/report-daily-test",
        "scripts/test-release",
    }
    assert "npm ci --ignore-scripts" in (ROOT / "scripts" / "cdk-cli").read_text(encoding="utf-8")
    assert "--require-hashes" in (ROOT / "scripts" / "install-delivery").read_text(encoding="utf-8")
    assert not any(
        "install" in line for name in scripts for line in commands_of(name) if "install-delivery" not in line
    )


def commands_of(script: str) -> list[str]:
    lines = (ROOT / script).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_a_deploy_runs_only_on_main_and_after_the_tests() -> None:
    deploy = CI_CD["deploy"]

    assert deploy["if"] == ONLY_MAIN
    assert deploy["needs"] == ["test", "smoke", "build", "synth"]
    assert deploy["environment"] == "production"


def test_the_deployed_assembly_is_synthesized_without_a_token() -> None:
    upload, download = CI_CD["synth"]["steps"][-1]["with"], CI_CD["deploy"]["steps"][3]["with"]

    assert CI_CD["synth"]["permissions"] == {"contents": "read"}
    assert (upload["name"], upload["path"]) == (download["name"], download["path"])
    assert "delivery.assembly" in (ROOT / "scripts" / "deploy").read_text(encoding="utf-8")


@pytest.mark.parametrize("job", [CI_CD["deploy"], PRODUCTION_TEST], ids=["deploy", "production-test"])
def test_credentials_are_accepted_only_for_the_known_account(job: dict[str, Any]) -> None:
    (step,) = (step for step in job["steps"] if "configure-aws-credentials" in step.get("uses", ""))

    assert step["with"]["allowed-account-ids"] == "${{ vars.AWS_ACCOUNT_ID }}"


def test_the_site_is_deployed_only_from_main() -> None:
    assert CI_CD["pages"]["if"] == ONLY_MAIN
    assert CI_CD["pages"]["needs"] == ["test", "site"]
    assert CI_CD["site"]["permissions"] == {"contents": "read"}


def test_the_daily_test_runs_only_in_the_repository_and_reports_to_it() -> None:
    assert DAILY["daily-test"]["if"] == f"${{{{ github.repository == '{REPOSITORY}' }}}}"
    assert DAILY["report"]["needs"] == "daily-test"
    assert "github.event_name == 'schedule'" in DAILY["report"]["if"]
    assert [step["run"] for step in DAILY["report"]["steps"] if "run" in step] == [
        'scripts/report-daily-test "$RESULT"',
        "scripts/keep-schedule daily-test-database.yaml",
    ]


def test_the_daily_test_takes_an_index_and_a_version() -> None:
    inputs = load("daily-test-database.yaml")["on"]["workflow_dispatch"]["inputs"]

    assert inputs["index"]["options"] == ["both", *INDEXES]
    assert DAILY["daily-test"]["with"].keys() == inputs.keys() == {"index", "version"}


def test_the_production_test_has_another_environment_than_the_deploy() -> None:
    # A role on AWS trusts the environment in the subject of the token.
    assert PRODUCTION_TEST["environment"] == "production-test" != CI_CD["deploy"]["environment"]


def test_the_guide_documents_which_environment_each_role_trusts() -> None:
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
def test_a_release_runs_only_after_a_deploy_and_if_required(name: str) -> None:
    release = CI_CD[name]

    # Without a status function such as always(), a job runs only if all jobs that it needs succeeded.
    assert release["if"] == "${{ needs.release-required.outputs.result == 'true' }}"
    assert "deploy" in release["needs"]
    assert release["environment"]["name"] == name.removeprefix("release-").replace("-", "")


@pytest.mark.parametrize("name", ["production-test-test-pypi", "production-test-pypi"])
def test_a_production_test_runs_after_a_deploy_with_or_without_a_release(name: str) -> None:
    job = CI_CD[name]
    release = name.replace("production-test", "release")

    assert job["needs"] == ["deploy", "release-required", release]
    assert job["if"] == (
        # A required release is skipped too, if a job before it failed.
        "${{ !cancelled() && needs.deploy.result == 'success' && "
        f"(needs.{release}.result == 'success' || needs.release-required.outputs.result == 'false') }}}}"
    )


def test_a_version_reaches_pypi_only_after_its_production_test_from_test_pypi() -> None:
    assert "production-test-test-pypi" in CI_CD["release-pypi"]["needs"]


def test_the_built_files_are_released() -> None:
    upload = CI_CD["build"]["steps"][-1]["with"]
    releases = ("attest", "release-test-pypi", "release-pypi", "release-github")
    downloads = [
        step["with"]["name"]
        for name in releases
        for step in CI_CD[name]["steps"]
        if "actions/download-artifact" in step.get("uses", "")
    ]

    assert downloads == [upload["name"]] * 4
    assert [step["uses"].partition("@")[0] for step in CI_CD["release-pypi"]["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


def test_the_files_are_attested_before_they_are_uploaded() -> None:
    assert "attest" in CI_CD["release-test-pypi"]["needs"]
    assert "release-test-pypi" in CI_CD["production-test-test-pypi"]["needs"]
    assert CI_CD["attest"]["if"] == "${{ needs.release-required.outputs.result == 'true' }}"


def test_a_version_is_tagged_after_it_is_on_pypi() -> None:
    assert "release-pypi" in CI_CD["release-github"]["needs"]
    assert CI_CD["release-github"]["if"] == "${{ needs.release-required.outputs.result == 'true' }}"


def test_the_release_is_tested_from_each_index() -> None:
    called = [job["with"]["index"] for job in CI_CD.values() if "with" in job]

    assert called == ["testpypi", "pypi"] == list(reversed(INDEXES))


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
    names = {
        *CI_CD,
        *DAILY,
        *re.findall(r"vars\.(\w+)", text),
        *re.findall(r"environment:(?:\n +name:)? ([\w-]+)", text),
    }

    assert {"deploy", "AWS_REGION", "production", "production-test", "pypi", "testpypi"} <= names
    assert {name for name in names if f"`{name}`" not in guide} == set()
