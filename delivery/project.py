"""The name and the version in ``pyproject.toml``, and the URLs of the package indexes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

# Simple repository APIs (PEP 503, PEP 691).
PYPI: Final = "https://pypi.org/simple/"
TEST_PYPI: Final = "https://test.pypi.org/simple/"


@dataclass(frozen=True, slots=True)
class Project:
    """A project and its version."""

    name: str
    version: str

    @property
    def requirement(self) -> str:
        """The requirement for exactly this version."""
        return f"{self.name}=={self.version}"


def configured(root: Path = ROOT) -> Project:
    """Returns the project that a repository configures."""
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Project(table["name"], table["version"])
