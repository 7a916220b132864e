"""The wheel is installed alone, and together with the distributions that share the namespace.

``scripts/install`` downloads the other distributions into ``.venv/neighbours``, so the tests use no network.
"""

from __future__ import annotations

import os
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.packaging.commands import run

NEIGHBOURS = Path(os.environ.get("NEIGHBOURS", Path(sys.prefix) / "neighbours"))

USE = """
from open_alchemy import package_database
from open_alchemy.package_database import *
assert package_database.__file__.startswith({site!r}), package_database.__file__
print(type(package_database.get()).__name__)
"""


def install(folder: Path, *options: str | Path) -> Path:
    """Creates a virtual environment without network, and returns its Python."""
    if not NEIGHBOURS.is_dir():
        pytest.skip(f"no distributions in {NEIGHBOURS}: run scripts/install")
    venv.create(folder)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip_install(python, *options)
    return python


def pip_install(python: Path, *options: str | Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-compile", "--no-index", f"--find-links={NEIGHBOURS}", *options, cwd=python.parent)


def test_the_wheel_has_the_package_and_leaves_the_namespace_open(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "open_alchemy/__init__.py" not in names
    assert {"open_alchemy", "open_alchemy_package_database-5.0.0.dist-info"} == {name.split("/")[0] for name in names}
    for name in ("py.typed", "cli/examples/employees.yaml", "model/schema.py", "pytest_plugin.py"):
        assert f"open_alchemy/package_database/{name}" in names


def test_the_wheel_alone_needs_no_extra(wheel: Path, tmp_path: Path) -> None:
    python = install(tmp_path / "venv", wheel)

    printed = run(python, "-c", USE.format(site=str(tmp_path)), cwd=tmp_path)

    assert printed == "Database\n"
    installed = run(sys.executable, "-m", "pip", "--python", python, "list", cwd=tmp_path).lower()
    assert "boto3" in installed
    assert "moto" not in installed.replace("boto", "")


@pytest.mark.parametrize("order", ["before", pytest.param("after", marks=pytest.mark.long)])
def test_the_wheel_works_with_the_distributions_that_share_the_namespace(
    wheel: Path, tmp_path: Path, order: str
) -> None:
    neighbours = ["open-alchemy.package-security", "OpenAlchemy==2.2.0"]
    first, second = ([wheel], neighbours) if order == "before" else (neighbours, [wheel])
    python = install(tmp_path / "venv", *first)
    pip_install(python, *second)

    assert run(python, "-W", "ignore", "-c", USE.format(site=str(tmp_path)), cwd=tmp_path) == "Database\n"
    run(python, "-W", "ignore", "-c", "import open_alchemy, open_alchemy.package_security", cwd=tmp_path)
