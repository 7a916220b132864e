"""Tests a released version against the deployed tables.

    scripts/test-release pypi|testpypi [VERSION]

installs the version into a new virtual environment and runs ``tests/production`` there, with ``STAGE=PROD`` and the AWS
credentials and region of the environment. VERSION defaults to the configured version, or to the newest released version
if the configured one is not on the index.

Only the package comes from the index. Its dependencies and pytest come from PyPI, pinned by hash in
``delivery/requirements/production-test.txt``, because anybody may register any name on test PyPI, and installed code
has access to the AWS credentials.
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

from packaging.version import InvalidVersion, Version

from .index import IndexUnreadableError, released_versions
from .project import PYPI, ROOT, TEST_PYPI, Project, configured
from .release_required import is_required

Command: TypeAlias = list[str]
Run: TypeAlias = Callable[[Command], int]

INDEXES: Final = {"pypi": PYPI, "testpypi": TEST_PYPI}
PRODUCTION_TESTS: Final = ROOT / "tests" / "production"
LOCK: Final = ROOT / "delivery" / "requirements" / "production-test.txt"

_KEPT: Final = ("PIP_CERT", "PIP_PROXY")
_REMOVED: Final = ("PIP_", "PYTHON", "PYTEST_", "PACKAGE_DATABASE_", "ACTIONS_", "GITHUB_", "GH_")

# Seconds, about ten minutes in all: pip sees a new version only after the caches of the index have expired.
PAUSES: Final = (5, 10, 20, 40, 80, 160, 300)


def install_commands(python: Path, requirement: str, *, index: str, dependencies: str, lock: Path) -> list[Command]:
    """Returns the commands that install the locked dependencies from one index, and the package from another.

    Only wheels are installed: a source distribution would execute its own code during the installation.

    Args:
        python: The interpreter of the environment to install into.
        requirement: The name and the version of the package.
        index: The URL of the simple API that has the package.
        dependencies: The URL of the simple API that has the dependencies and pytest.
        lock: The requirements file with the versions and hashes of the dependencies and pytest.
    """
    options = ["--only-binary=:all:", "--disable-pip-version-check", "--progress-bar=off"]
    install = [str(python), "-m", "pip", "install", *options]
    return [
        [*install, f"--index-url={dependencies}", "--require-hashes", f"--requirement={lock}"],
        [*install, f"--index-url={index}", "--no-deps", requirement],
    ]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables for pip and pytest.

    Removes settings that could add an index (pip), import the repository (Python, pytest) or select another store
    (``PACKAGE_DATABASE_URL``), and the variables of the workflow: with ``ACTIONS_ID_TOKEN_REQUEST_TOKEN`` the tested
    code could request a token from GitHub.
    """
    kept = {name: value for name, value in variables.items() if name in _KEPT or not name.startswith(_REMOVED)}
    # pip reads no configuration file if this is the null device (pip's documentation, "Configuration").
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "STAGE": "PROD"}


def run_until_it_succeeds(
    command: Command, *, run: Run, sleep: Callable[[float], None], pauses: Iterable[float] = PAUSES
) -> bool:
    """Runs a command until its exit code is 0, with a pause before each retry.

    Returns:
        Whether it succeeded.
    """
    for pause in pauses:
        if run(command) == 0:
            return True
        print(f"Failed. Next attempt in {pause:g} seconds.", flush=True)
        sleep(pause)
    return run(command) == 0


def version_to_test(configured_version: str, released: Sequence[str]) -> str | None:
    """Returns the configured version if it is released, otherwise the newest released version or None."""
    if not is_required(configured_version, released):
        return configured_version
    return str(max(versions)) if (versions := list(_final_versions(released))) else None


def _final_versions(released: Iterable[str]) -> Iterable[Version]:
    for text in released:
        try:
            version = Version(text)
        except InvalidVersion:
            continue
        if not version.is_prerelease:
            yield version


def select_version(project: Project, *, index: str) -> str | None:
    """Returns the version to test, and prints a warning if it is not the configured version."""
    version = version_to_test(project.version, released_versions(project.name, index_url=index))
    if version != project.version:
        # A workflow command: GitHub shows the warning on the page of the run.
        print(
            f"::warning title=Release pending::{project.requirement} is not on {index}: its release awaits approval or "
            f"failed. Tested instead: {version or 'nothing'}.",
            flush=True,
        )
    return version


def verify(project: Project, *, index: str, dependencies: str, sleep: Callable[[float], None] = time.sleep) -> int:
    """Installs a version into a new virtual environment, runs the production tests, and returns the exit code."""
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()

        def run(command: Command) -> int:
            # Runs outside the repository, because its open_alchemy would shadow the installed package.
            return subprocess.run(command, cwd=folder, env=environment(os.environ), check=False).returncode

        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        for command in install_commands(python, project.requirement, index=index, dependencies=dependencies, lock=LOCK):
            if not run_until_it_succeeds(command, run=run, sleep=sleep):
                print(f"{project.requirement} of {index} cannot be installed; see pip's output.", file=sys.stderr)
                return 1
        shutil.copytree(PRODUCTION_TESTS, folder / "production", ignore=shutil.ignore_patterns("__pycache__"))
        return run([str(python), "-m", "pytest", "--verbose", "production"])


def main(arguments: Sequence[str]) -> int:
    """Tests the version that the arguments name, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/test-release", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("index", choices=INDEXES)
    parser.add_argument("version", nargs="?", help="default: the configured version, or the newest released one")
    parser.add_argument("--index-url", help="the simple API that has the package, instead of the index's own")
    parser.add_argument("--dependencies-url", default=PYPI, help="the simple API that has the dependencies")
    given = parser.parse_args(arguments)
    project = configured()
    index = given.index_url or INDEXES[given.index]
    try:
        version = given.version or select_version(project, index=index)
    except IndexUnreadableError as error:
        print(error, file=sys.stderr)
        return 1
    if version is None:
        return 0
    return verify(Project(project.name, version), index=index, dependencies=given.dependencies_url)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
