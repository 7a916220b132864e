"""Prints the dependencies of the package and of extras, one per line, for pip.

python -m delivery.dependencies cli test  of the package and these extras
python -m delivery.dependencies --lowest  of the package and all extras, in the lowest allowed versions
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from .project import ROOT


def dependencies(extras: Iterable[str] | None = None, root: Path = ROOT) -> list[str]:
    """Returns the requirements of the package and of extras; of all extras if None."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional: dict[str, list[str]] = project["optional-dependencies"]
    chosen = optional if extras is None else extras
    return [*project["dependencies"], *(requirement for extra in chosen for requirement in optional[extra])]


def lowest(requirement: str) -> str:
    """Returns the requirement ``name[extra]==version`` for ``name[extra]>=version``."""
    bounded = re.fullmatch(r"([\w.-]+(?:\[[\w,]+\])?)>=([\w.]+)", requirement)
    if bounded is None:
        raise ValueError(f"pyproject.toml: expected NAME>=VERSION: {requirement}")
    return f"{bounded[1]}=={bounded[2]}"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    lines = map(lowest, dependencies()) if arguments == ["--lowest"] else dependencies(arguments)
    print(*lines, sep="\n")
