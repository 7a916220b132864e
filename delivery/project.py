"""Which version of which project is configured, and where it is released."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

# Their simple APIs, which pip reads.
PYPI: Final = "https://pypi.org/simple/"
TEST_PYPI: Final = "https://test.pypi.org/simple/"


@dataclass(frozen=True, slots=True)
class Project:
    """A project and the version that it is to have on the indexes."""

    name: str
    version: str

    @property
    def requirement(self) -> str:
        """The requirement that only this version meets."""
        return f"{self.name}=={self.version}"


def configured(root: Path = ROOT) -> Project:
    """Returns the project that is configured in a repository."""
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Project(table["name"], table["version"])
