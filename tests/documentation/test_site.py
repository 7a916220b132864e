"""The generated pages are current, and links are valid on the site and on GitHub."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import generate, layers
from docs.site.hooks import site_link

REPOSITORY = "https://github.com/o/r"


@pytest.mark.parametrize("path", generate.FILES, ids=lambda path: path.name)
def test_a_generated_file_is_current(path: Path) -> None:
    if path.suffix == ".py":
        pytest.importorskip("ruff", reason="formats generated modules; scripts/install dev installs it")
    (file,) = (each for each in generate.FILES if each == path)

    assert file.read_text(encoding="utf-8") == generate.FILES[file]()


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("tables.md#x", "tables.md#x"),
        ("layers.svg", "layers.svg"),
        ("../README.md#start", "index.md#start"),
        ("../CONTRIBUTING.md", "contributing.md"),
        ("../docs/export.md#import", "export.md#import"),
        ("../docs/layers.svg", "layers.svg"),
        ("../LICENSE", f"{REPOSITORY}/blob/main/LICENSE"),
        ("../docs/examples", f"{REPOSITORY}/blob/main/docs/examples"),
        ("../docs/examples/service.py", f"{REPOSITORY}/blob/main/docs/examples/service.py"),
        ("examples", f"{REPOSITORY}/tree/main/docs/examples"),
    ],
)
def test_a_link_targets_a_page_or_a_file_of_the_repository(link: str, target: str) -> None:
    assert site_link(link, REPOSITORY) == target


def test_the_diagram_shows_every_module_of_the_contract() -> None:
    drawn = layers.svg()

    assert all(f">{name}</text>" in drawn for layer in layers.layers() for name in layer)


def test_a_module_imports_only_modules_of_lower_layers() -> None:
    rank = {name: number for number, layer in enumerate(layers.layers()) for name in layer}

    assert all(rank[imported] > rank[name] for name in rank for imported in layers.imports(name))
