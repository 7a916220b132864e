"""The commands of the delivery start and print their usage."""

from __future__ import annotations

import runpy
import sys

import pytest

from delivery.dependencies import dependencies, lowest
from delivery.project import ROOT, configured


def run(module: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a module as ``python -m`` does."""
    monkeypatch.setattr(sys, "argv", [module, option])
    monkeypatch.delitem(sys.modules, module, raising=False)
    runpy.run_module(module, run_name="__main__")


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("release_required", "scripts/release-required"),
        ("released", "scripts/test-release"),
        ("daily_report", "scripts/report-daily-test"),
    ],
)
def test_a_command_prints_its_usage(
    module: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(f"delivery.{module}", "--help", monkeypatch)

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {command} ")


def test_the_configured_project_is_the_package() -> None:
    assert configured().requirement == f"open-alchemy.package-database=={configured().version}"


def test_every_dependency_has_a_lowest_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("delivery.dependencies", "--lowest", monkeypatch)

    lines = capsys.readouterr().out.splitlines()
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
