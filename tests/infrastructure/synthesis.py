"""Runs the CDK app in a process of its own, because it starts Node, which would outlive a test."""

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
    """What the app left behind.

    Attributes:
        exit_code: 0 where no check found fault.
        said: What the app printed.
        file: The template, which is there even where a check found fault.
    """

    exit_code: int
    said: str
    file: Path

    @property
    def template(self) -> Template:
        """The template.

        Raises:
            FileNotFoundError: The app failed before it wrote one; ``said`` tells why.
        """
        template: Template = json.loads(self.file.read_text(encoding="utf-8"))
        return template


def synthesize(folder: Path, *arguments: str) -> Synthesis:
    """Synthesizes the app into a folder; ``arguments`` run another program than the app's."""
    finished = subprocess.run(
        [sys.executable, *(arguments or ("-m", "infrastructure.app"))],
        cwd=ROOT,
        env={**os.environ, "CDK_OUTDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Synthesis(finished.returncode, finished.stdout + finished.stderr, folder / "PackageDatabase.template.json")
