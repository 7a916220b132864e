"""What is built and installed: alone, and beside the distributions that share the namespace.

The other distributions lie in ``.venv/neighbours``, where ``scripts/install`` puts them: tests use no network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEIGHBOURS = Path(os.environ.get("NEIGHBOURS", Path(sys.prefix) / "neighbours"))

USE = """
from open_alchemy import package_database
from open_alchemy.package_database import *
assert package_database.__file__.startswith({site!r}), package_database.__file__
print(type(package_database.get()).__name__)
"""


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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def install(folder: Path, *options: str | Path) -> Path:
    """Makes a virtual environment without network, and returns its Python."""
    if not NEIGHBOURS.is_dir():
        pytest.skip(f"the distributions to install beside are not in {NEIGHBOURS}: run scripts/install")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "--no-index", f"--find-links={NEIGHBOURS}", *options, cwd=folder)
    return python


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
    installed = run(python, "-m", "pip", "list", cwd=tmp_path).lower()
    assert "boto3" in installed
    assert "moto" not in installed.replace("boto", "")


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_wheel_works_beside_its_neighbours(wheel: Path, tmp_path: Path, order: str) -> None:
    neighbours = ["open-alchemy.package-security", "OpenAlchemy==2.2.0"]
    first, second = ([wheel], neighbours) if order == "before" else (neighbours, [wheel])
    python = install(tmp_path / "venv", *first)
    run(python, "-m", "pip", "install", "--no-index", f"--find-links={NEIGHBOURS}", *second, cwd=tmp_path)

    assert run(python, "-W", "ignore", "-c", USE.format(site=str(tmp_path)), cwd=tmp_path) == "Database\n"
    run(python, "-W", "ignore", "-c", "import open_alchemy, open_alchemy.package_security", cwd=tmp_path)
