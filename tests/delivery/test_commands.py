"""The commands of the delivery start and print their usage."""

from __future__ import annotations

import subprocess
import sys

import pytest

from delivery.dependencies import dependencies, lowest
from delivery.project import ROOT, configured

pytestmark = pytest.mark.usefixtures("measured_programs")


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("release_required", "scripts/release-required"),
        ("released", "scripts/test-release"),
        ("daily_report", "scripts/report-daily-test"),
    ],
)
def test_a_command_prints_its_usage(module: str, command: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", f"delivery.{module}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert printed.stdout.startswith(f"usage: {command} ")


def test_the_configured_project_is_the_package() -> None:
    assert configured().requirement == f"open-alchemy.package-database=={configured().version}"


def test_every_dependency_has_a_lowest_version() -> None:
    lines = subprocess.run(
        [sys.executable, "-m", "delivery.dependencies", "--lowest"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert lines == [requirement.replace(">=", "==") for requirement in dependencies()]


def test_a_dependency_without_a_lowest_version_is_refused() -> None:
    with pytest.raises(ValueError, match="expected NAME>=VERSION: boto3<2"):
        lowest("boto3<2")


def test_a_deploy_checks_the_template_and_then_deploys_the_assembly_alone() -> None:
    """With another value of --app the CDK would run Python with the AWS credentials."""
    lines = (ROOT / "scripts" / "deploy").read_text(encoding="utf-8").splitlines()

    check, deploy = (line for line in lines if "cdk.out" in line and not line.startswith("#"))
    assert check.endswith("-m delivery.assembly infrastructure/cdk.out")
    assert deploy == "exec scripts/cdk-cli deploy --app cdk.out --require-approval never"
    assert lines.index(check) < lines.index(deploy)
