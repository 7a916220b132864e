"""The version of the installed distribution."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from open_alchemy import package_database

ROOT = Path(__file__).parents[2]


def test_the_version_is_that_of_the_distribution() -> None:
    assert package_database.__version__ == version("open-alchemy.package-database")


def test_another_attribute_is_missing() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        package_database.missing  # type: ignore[attr-defined]  # noqa: B018


def test_the_import_does_not_read_the_version() -> None:
    program = "import sys; from open_alchemy import package_database; print('importlib.metadata' in sys.modules)"

    command = [sys.executable, "-S", "-c", program]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert finished.stdout == "False\n"
