"""The commands of the delivery start, and tell how they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from delivery.project import ROOT, configured


@pytest.mark.parametrize(
    ("module", "command"), [("release_required", "scripts/release-required"), ("released", "scripts/test-release")]
)
def test_a_command_tells_how_it_is_used(module: str, command: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", f"delivery.{module}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert told.stdout.startswith(f"usage: {command} ")


def test_the_configured_project_is_that_of_the_package() -> None:
    assert configured().requirement == f"open-alchemy.package-database=={configured().version}"
