"""Runs commands outside of the repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
    finished = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, "STAGE": "TEST", "AWS_DEFAULT_REGION": "eu-west-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout
