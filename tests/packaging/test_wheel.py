"""The wheel is installed alone, and together with the distributions that share the namespace.

``scripts/install`` downloads the other distributions into ``.venv/neighbours``, so the tests use no network.
"""

from __future__ import annotations

import os
import sys
import venv
import zipfile
from importlib.metadata import distributions
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
    """Installs distributions into a new virtual environment without network, and returns its Python."""
    if not NEIGHBOURS.is_dir():
        pytest.skip(f"no distributions in {NEIGHBOURS}: run scripts/install")
    venv.create(folder)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip_install(python, *options)
    return python


def pip_install(python: Path, *options: str | Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-compile", "--no-index", f"--find-links={NEIGHBOURS}", *options, cwd=python.parent)


def packages_of(python: Path) -> Path:
    (packages,) = python.parents[1].glob("[Ll]ib/**/site-packages")
    return packages


def test_the_wheel_has_the_package_and_leaves_the_namespace_open(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "open_alchemy/__init__.py" not in names
    assert {"open_alchemy", "open_alchemy_package_database-5.0.0.dist-info"} == {name.split("/")[0] for name in names}
    for name in ("py.typed", "cli/examples/employees.yaml", "model/schema.py", "pytest_plugin.py"):
        assert f"open_alchemy/package_database/{name}" in names


@pytest.fixture(scope="module")
def installed_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and its requirements."""
    return install(tmp_path_factory.mktemp("wheel") / "venv", wheel)


def test_the_wheel_alone_needs_no_extra(installed_wheel: Path, tmp_path: Path) -> None:
    folder = installed_wheel.parents[1]

    printed = run(installed_wheel, "-c", USE.format(site=str(folder)), cwd=tmp_path)

    assert printed == "Database\n"
    installed = {found.name for found in distributions(path=[str(packages_of(installed_wheel))])}
    assert "boto3" in installed
    assert "moto" not in installed


NEIGHBOUR_NAMES = ("open-alchemy.package-security", "OpenAlchemy==2.2.0")


def test_the_wheel_works_before_the_distributions_that_share_the_namespace(
    wheel: Path, installed_wheel: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    installed = packages_of(installed_wheel)
    for path in (wheel, *NEIGHBOURS.glob("*.whl")):
        has_requirement = (installed / f"{'-'.join(path.name.split('-')[:2])}.dist-info").exists()
        # OpenAlchemy requires mypy for the types of SQLAlchemy, and does not import it.
        if path == wheel or not (has_requirement or path.name.startswith("mypy-")):
            zipfile.ZipFile(path).extractall(shared)

    check_namespace(installed_wheel, shared)


@pytest.mark.long
def test_the_wheel_works_after_the_distributions_that_share_the_namespace(wheel: Path, tmp_path: Path) -> None:
    python = install(tmp_path / "venv", *NEIGHBOUR_NAMES)
    pip_install(python, wheel)

    check_namespace(python, packages_of(python))


def check_namespace(python: Path, packages: Path) -> None:
    """Imports the package and the other distributions from a folder outside of the repository."""
    program = f"import sys; sys.path.insert(0, {str(packages)!r})" + USE.format(site=str(packages))
    program += "import open_alchemy.package_security"
    assert run(python, "-W", "ignore", "-c", program, cwd=packages) == "Database\n"
