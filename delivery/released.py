"""Tests a released version against the deployed tables.

    scripts/test-release pypi|testpypi [VERSION]

installs the version, the configured one where none is given, from PyPI or from test PyPI into a fresh environment, and
runs ``tests/production`` with it, under ``STAGE=PROD`` and with the AWS credentials and region of the environment.

Anybody may register any name on test PyPI. So the package itself is all that is installed from there; what it depends
on comes from PyPI. pip is never given both at once, because it would take whichever has the higher version of each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from .project import PYPI, ROOT, TEST_PYPI, Project, configured

Command: TypeAlias = list[str]
Run: TypeAlias = Callable[[Command], int]

INDEXES: Final = {"pypi": PYPI, "testpypi": TEST_PYPI}
PRODUCTION_TESTS: Final = ROOT / "tests" / "production"

_KEPT: Final = ("PIP_CERT", "PIP_PROXY")
_LEFT_OUT: Final = ("PIP_", "PYTHON", "PYTEST_", "PACKAGE_DATABASE_URL", "ACTIONS_", "GITHUB_")

# Seconds, about ten minutes in all: a new version is on the pages that pip reads once their caches have expired.
PAUSES: Final = (5, 10, 20, 40, 80, 160, 300)


def install_commands(python: Path, requirement: str, *, index: str, dependencies: str) -> list[Command]:
    """Returns the commands that install a requirement from one index, and what it depends on from another.

    Only wheels are installed: a source distribution would run its own code while the AWS credentials are at hand.

    Args:
        python: The interpreter of the environment to install into.
        requirement: The name and the one version.
        index: The URL of the simple API that has the requirement.
        dependencies: The URL of the simple API that has what it depends on, and pytest.
    """
    options = ["--only-binary=:all:", "--disable-pip-version-check", "--progress-bar=off"]
    pip = [str(python), "-m", "pip", "install", *options]
    # A second install finds the requirement met, and adds only what it depends on.
    complete = [*pip, f"--index-url={dependencies}", requirement, "pytest>=8"]
    if index == dependencies:
        return [complete]
    return [[*pip, "--no-deps", f"--index-url={index}", requirement], complete]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables for pip and pytest: without what would lead them elsewhere.

    A setting of pip could add an index, one of Python or pytest could put the repository before what is installed, and
    ``PACKAGE_DATABASE_URL`` names another store than the deployed tables. How the network is reached stays. Nor is
    anything of the workflow handed on: with ``ACTIONS_ID_TOKEN_REQUEST_TOKEN`` what is tested could ask GitHub for a
    token of its own.
    """
    kept = {name: value for name, value in variables.items() if name in _KEPT or not name.startswith(_LEFT_OUT)}
    # pip reads no configuration file at all where this is the null device (pip's documentation, "Configuration").
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "STAGE": "PROD"}


def run_until_it_succeeds(
    command: Command, *, run: Run, sleep: Callable[[float], None], pauses: Iterable[float] = PAUSES
) -> bool:
    """Runs a command until its exit code is 0, with a pause after each failure but the last.

    Returns:
        Whether it succeeded.
    """
    for pause in pauses:
        if run(command) == 0:
            return True
        print(f"Failed; trying again in {pause:g} seconds.", flush=True)
        sleep(pause)
    return run(command) == 0


def verify(project: Project, *, index: str, dependencies: str, sleep: Callable[[float], None] = time.sleep) -> int:
    """Installs a project's version into a fresh environment, runs the production tests, and returns the exit code."""
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()

        def run(command: Command) -> int:
            # In a folder of its own, without the repository: its open_alchemy would hide the installed one.
            return subprocess.run(command, cwd=folder, env=environment(os.environ), check=False).returncode

        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        for command in install_commands(python, project.requirement, index=index, dependencies=dependencies):
            if not run_until_it_succeeds(command, run=run, sleep=sleep):
                print(f"{project.requirement} of {index} cannot be installed; pip says why.", file=sys.stderr)
                return 1
        shutil.copytree(PRODUCTION_TESTS, folder / "production", ignore=shutil.ignore_patterns("__pycache__"))
        return run([str(python), "-m", "pytest", "--verbose", "production"])


def main(arguments: Sequence[str]) -> int:
    """Tests the version that the arguments name, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/test-release", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("index", choices=INDEXES)
    parser.add_argument("version", nargs="?", help="the configured version where it is not given")
    parser.add_argument("--index-url", help="where the package is, in place of the index's own simple API")
    parser.add_argument("--dependencies-url", default=PYPI, help="where the dependencies are, in place of PyPI")
    given = parser.parse_args(arguments)
    project = configured()
    return verify(
        Project(project.name, given.version or project.version),
        index=given.index_url or INDEXES[given.index],
        dependencies=given.dependencies_url,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
