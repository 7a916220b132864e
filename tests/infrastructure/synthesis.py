"""Runs the CDK app in a child process, because its Node process runs as long as the process that imports it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parents[2]

Template: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Synthesis:
    """The result of a synthesis.

    Attributes:
        exit_code: 0 if every check passed.
        output: The output of the app.
        file: The template, which is written even if a check fails.
    """

    exit_code: int
    output: str
    file: Path

    @property
    def template(self) -> Template:
        """The template.

        Raises:
            FileNotFoundError: The app failed before it wrote one; ``output`` has the reason.
        """
        template: Template = json.loads(self.file.read_text(encoding="utf-8"))
        return template


def synthesize(folder: Path, *arguments: str, validated: bool = False) -> Synthesis:
    """Synthesizes the app into a folder.

    Args:
        folder: Receives the cloud assembly.
        arguments: Replace the module of the app.
        validated: Whether the CDK validates the template, as in a deployment: that takes 5 seconds. The checks of
            cdk-nag run in any case.
    """
    finished = subprocess.run(
        [sys.executable, *(arguments or ("-m", "infrastructure.app"))],
        cwd=ROOT,
        env={**os.environ, "CDK_OUTDIR": str(folder), "CDK_VALIDATION": str(validated).lower()},
        capture_output=True,
        text=True,
        check=False,
    )
    return Synthesis(finished.returncode, finished.stdout + finished.stderr, folder / "PackageDatabase.template.json")
