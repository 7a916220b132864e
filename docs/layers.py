"""Draws the layers of the package from the contract of import-linter and the graph of the imports.

``docs.generate`` writes and compares ``docs/layers.svg`` and ``docs/architecture.md``.
"""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import grimp

DIAGRAM: Final = Path(__file__).parent / "layers.svg"
PAGE: Final = Path(__file__).parent / "architecture.md"

_ROOT: Final = "open_alchemy.package_database"
_PYPROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"
_WIDTH, _ROW, _GAP, _LABEL = 760, 46, 10, 16

_STYLE: Final = (
    "rect{fill:#e8eef9;stroke:#3f51b5}text{font:600 15px system-ui,sans-serif;fill:#1a237e;text-anchor:middle}"
)

_INTRODUCTION: Final = """\
# Architecture

This page is written by `python -m docs.generate` from `pyproject.toml` and the imports; do not edit it.

A module imports only modules of layers below its own. import-linter enforces this in `scripts/check`.

![The layers of the package, top to bottom]({diagram})

| module | owns | imports |
|---|---|---|
"""


def layers() -> list[list[str]]:
    """Returns the modules of each layer, top to bottom."""
    contracts = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in contracts if each["type"] == "layers")
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def svg() -> str:
    """Returns the diagram: a row for each layer, a box for each of its modules."""
    rows = layers()
    height = len(rows) * (_ROW + _GAP) + _GAP
    boxes = [
        _box(name, column, len(row), _GAP + number * (_ROW + _GAP))
        for number, row in enumerate(rows)
        for column, name in enumerate(row)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f"<title>The layers of the package</title>\n<style>{_STYLE}</style>\n" + "\n".join(boxes) + "\n</svg>\n"
    )


def _box(name: str, column: int, columns: int, top: int) -> str:
    width = (_WIDTH - _GAP * (columns + 1)) / columns
    left = _GAP + column * (width + _GAP)
    return (
        f'<rect x="{left:g}" y="{top}" width="{width:g}" height="{_ROW}" rx="6"/>'
        f'<text x="{left + width / 2:g}" y="{top + (_ROW + _LABEL) // 2 - 3}">{escape(name)}</text>'
    )


def page() -> str:
    """Returns the page: the diagram, and for each module its purpose and its imports."""
    rows = [
        f"| `{name}` | {_purpose(name)} | {', '.join(f'`{each}`' for each in imports(name)) or '-'} |"
        for layer in layers()
        for name in layer
    ]
    return _INTRODUCTION.format(diagram=DIAGRAM.name) + "\n".join(rows) + "\n"


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(_ROOT, cache_dir=None)


def imports(name: str) -> list[str]:
    """Returns the modules directly below the package that a module, or anything in it, imports."""
    graph, module = _graph(), f"{_ROOT}.{name}"
    inside = {module} | graph.find_descendants(module)
    imported = {each for part in inside for each in graph.find_modules_directly_imported_by(part)}
    names = {each.removeprefix(f"{_ROOT}.").partition(".")[0] for each in imported if each.startswith(f"{_ROOT}.")}
    return sorted(names - {name})


def _purpose(name: str) -> str:
    spec = find_spec(f"{_ROOT}.{name}")
    assert spec is not None
    assert spec.origin is not None
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("``", "`").replace("|", "\\|")
