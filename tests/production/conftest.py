"""Tests against deployed tables, collected only with ``STAGE=PROD``.

The folder is self-contained: a copy of it runs wherever pytest and the package are installed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.engines.registry import from_environment


def _obstacle() -> str | None:
    """Returns the reason why ``get()`` does not open the deployed tables; None if it opens them."""
    if os.environ.get("STAGE") != "PROD":
        return "STAGE is not PROD"
    # Without the package's plugin, which ignores this variable, get() would open the other store.
    return "PACKAGE_DATABASE_URL is set: it names another store" if os.environ.get("PACKAGE_DATABASE_URL") else None


_IS_PROD = os.environ.get("STAGE") == "PROD"
_OBSTACLE = _obstacle()

collect_ignore_glob = [] if _IS_PROD else ["test_*.py"]


def pytest_report_header() -> str:
    return f"package-database: {_subject()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("package-database")
    terminalreporter.line(_subject())


def _subject() -> str:
    """Returns the version and the folder of the tested package, and the endpoint."""
    if _OBSTACLE is not None:
        return f"nothing is tested, because {_OBSTACLE}"
    version = metadata.version("open-alchemy.package-database")
    folder = Path(package_database.__file__).parent
    try:
        location = from_environment(os.environ).location
    except package_database.ConfigurationError as error:
        return f"nothing is tested, because of the configuration: {error}"
    return f"tested version {version} in {folder}, with DynamoDB at {location}"


@pytest.fixture
def database() -> TDatabase:
    if _OBSTACLE is not None:
        # collect_ignore_glob does not apply to a file that is named on the command line.
        pytest.fail(_subject(), pytrace=False)
    return package_database.get()


@pytest.fixture
def sub(database: TDatabase) -> Iterator[str]:
    """A unique user id; the items of the user are deleted after the test."""
    fresh = f"test.{uuid.uuid4()}"
    yield fresh
    database.delete_all(sub=fresh)
