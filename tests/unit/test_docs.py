"""The generated files are current, and an access pattern is the only definition of a function."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docs import generate, protocols
from open_alchemy import package_database
from open_alchemy.package_database import AsyncTDatabase, TDatabase
from open_alchemy.package_database.model import ACCESS_PATTERNS
from open_alchemy.package_database.model.access_pattern import AccessPattern

ALL_PATTERNS = pytest.mark.parametrize("pattern", ACCESS_PATTERNS, ids=lambda pattern: pattern.name)


def test_the_page_of_the_tables_is_up_to_date() -> None:
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page()


@pytest.mark.parametrize(
    ("path", "rendered"),
    [
        (protocols.TYPES, protocols.render_types()),
        (protocols.ASYNC_TYPES, protocols.render_async_types()),
    ],
    ids=["types", "async_types"],
)
def test_the_protocols_are_up_to_date(path: Path, rendered: str) -> None:
    assert ast.dump(ast.parse(path.read_text(encoding="utf-8"))) == ast.dump(ast.parse(rendered))


def test_no_secret_is_documented() -> None:
    assert "b'hash'" not in generate.page()


def documented_arguments(pattern: AccessPattern[..., Any]) -> dict[str, str]:
    """Returns the description of each argument, by name."""
    text = inspect.getdoc(pattern.steps) or ""
    _, _, section = text.partition("Args:\n")
    section, _, _ = section.partition("\n\n")
    found: dict[str, str] = {}
    for line in section.splitlines():
        if line.startswith("     "):
            found[list(found)[-1]] += " " + line.strip()
        else:
            name, _, description = line.strip().partition(": ")
            found[name] = description
    return found


@ALL_PATTERNS
def test_every_argument_is_documented_in_order(pattern: AccessPattern[..., Any]) -> None:
    assert list(documented_arguments(pattern)) == list(inspect.signature(pattern.steps).parameters)


@pytest.mark.parametrize("name", ["sub", "name", "id_"])
def test_an_argument_is_documented_alike_everywhere(name: str) -> None:
    assert len({arguments[name] for arguments in map(documented_arguments, ACCESS_PATTERNS) if name in arguments}) == 1


@ALL_PATTERNS
@pytest.mark.parametrize("api", [TDatabase, AsyncTDatabase])
def test_help_lists_every_error(api: type, pattern: AccessPattern[..., Any]) -> None:
    _, _, errors = (inspect.getdoc(getattr(api, pattern.name)) or "").partition("Raises:\n")

    for name in ("ValidationError", "ConfigurationError", "RefusedError", "UnavailableError"):
        assert f"    {name}: " in errors


NEW_PATTERN = '''

@access_pattern("How many specs does a user have?")
def count_specs(*, sub: str, factor: int = 1) -> Steps[int]:
    """Returns the number of specs, multiplied."""
    items = yield _latest_records(sub, _ID)
    return factor * len(items)
'''
GENERATE = """
from docs import protocols

types, async_types = protocols.render_types(), protocols.render_async_types()
protocols.TYPES.write_text(types)
protocols.ASYNC_TYPES.write_text(async_types)
"""
CALLS = """
import asyncio, inspect
from open_alchemy.package_database import TDatabase, AsyncTDatabase
from open_alchemy.package_database.database import open_async_database, open_database
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine

database = open_database(MemoryEngine())
database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
print(database.count_specs(sub="u1", factor=3), inspect.signature(database.count_specs), database.count_specs.__doc__)
async_database = open_async_database(AsyncMemoryEngine())
print(asyncio.run(async_database.count_specs(sub="u1")), inspect.signature(AsyncTDatabase.count_specs))
"""


def test_a_new_access_pattern_is_a_typed_function_of_both_apis(tmp_path: Path) -> None:
    package = tmp_path / "open_alchemy" / "package_database"
    shutil.copytree(Path(package_database.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(Path(protocols.__file__).parent, tmp_path / "docs", ignore=shutil.ignore_patterns("*.md"))
    model = package / "model"
    with (model / "specs.py").open("a", encoding="utf-8") as module:
        module.write(NEW_PATTERN)
    listed = (model / "__init__.py").read_text(encoding="utf-8")
    (model / "__init__.py").write_text(
        listed.replace("    users.", "    specs.count_specs,\n    users."), encoding="utf-8"
    )

    run_python("-c", GENERATE, path=tmp_path)
    printed = run_python("-c", CALLS, path=tmp_path)

    assert printed.startswith(
        "3 (*, sub: 'str', factor: 'int' = 1) -> 'int' Returns the number of specs, multiplied.\n"
    )
    assert printed.endswith("0 (self, *, sub: 'str', factor: 'int' = 1) -> 'int'\n")


def run_python(*arguments: str, path: Path) -> str:
    """Runs Python with the packages in a folder, and returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, cwd=path, capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout
