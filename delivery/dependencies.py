"""Prints the dependencies of the package and of its extras, one in a line, for pip.

python -m delivery.dependencies           as pyproject.toml names them
python -m delivery.dependencies --lowest  in the lowest version that it allows
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from .project import ROOT


def dependencies(root: Path = ROOT) -> list[str]:
    """Returns the requirements of the package and of its extras."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return [*project["dependencies"], *(requirement for extra in extras.values() for requirement in extra)]


def lowest(requirement: str) -> str:
    """Returns the requirement ``name[extra]==version`` for ``name[extra]>=version``."""
    bounded = re.fullmatch(r"([\w.-]+(?:\[[\w,]+\])?)>=([\w.]+)", requirement)
    if bounded is None:
        raise ValueError(f"pyproject.toml: expected NAME>=VERSION: {requirement}")
    return f"{bounded[1]}=={bounded[2]}"


if __name__ == "__main__":
    found = dependencies()
    print(*(map(lowest, found) if "--lowest" in sys.argv else found), sep="\n")
