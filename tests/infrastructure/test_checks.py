"""The template passes the checks of cfn-lint, cdk-nag and the CDK."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infrastructure.synthesis import Synthesis, synthesize
from tests.unmeasured import unmeasured

WITHOUT_RECOVERY = """
from infrastructure import app

built = app.build()
table = built.node.find_child(app.STACK).node.find_child("SpecsTable").node.default_child
table.point_in_time_recovery_specification = None
built.synth()
"""


def test_the_template_passes_cfn_lint(synthesis: Synthesis) -> None:
    with unmeasured():
        from cfnlint.api import lint  # deferred: every worker imports this module

        found = lint(synthesis.file.read_text(encoding="utf-8"))

    assert [str(match) for match in found] == []


def test_the_template_passes_the_aws_solutions_checks_of_cdk_nag(synthesis: Synthesis) -> None:
    assert synthesis.exit_code == 0, synthesis.output
    assert "Template validation found issues" not in synthesis.output


@pytest.mark.long
def test_the_template_passes_the_validation_of_the_cdk(tmp_path: Path) -> None:
    synthesis = synthesize(tmp_path, validated=True)

    assert synthesis.exit_code == 0, synthesis.output
    assert "Template validation found issues" not in synthesis.output


@pytest.mark.long
def test_a_failed_aws_solutions_check_fails_the_synthesis(tmp_path: Path) -> None:
    synthesis = synthesize(tmp_path, "-c", WITHOUT_RECOVERY)

    assert synthesis.exit_code != 0
    assert "The DynamoDB table does not have Point-in-time Recovery enabled. (AwsSolutions)" in synthesis.output
