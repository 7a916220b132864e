"""For tests against deployed tables; with ``STAGE=PROD`` only.

The folder stands alone: a copy of it runs wherever pytest and the package are installed, as after a release.
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

_IS_PROD = os.environ.get("STAGE") == "PROD"

collect_ignore_glob = [] if _IS_PROD else ["test_*.py"]


def pytest_report_header() -> str:
    return f"package-database: {_subject()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("package-database")
    terminalreporter.line(_subject())


def _subject() -> str:
    """Returns which version of the package is tested, from which folder, and against which DynamoDB."""
    if not _IS_PROD:
        return "nothing is tested, because STAGE is not PROD"
    version = metadata.version("open-alchemy.package-database")
    folder = Path(package_database.__file__).parent
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "of the AWS profile"
    endpoint = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or "AWS"
    return f"tested version {version} in {folder}, with DynamoDB at {endpoint}, region {region}"


@pytest.fixture
def database() -> TDatabase:
    if not _IS_PROD:
        # A file that is named on the command line is not left out.
        pytest.fail(_subject(), pytrace=False)
    return package_database.get()


@pytest.fixture
def sub(database: TDatabase) -> Iterator[str]:
    """A user that nobody else has, and of whom nothing is left after the test."""
    fresh = f"test.{uuid.uuid4()}"
    yield fresh
    database.delete_all(sub=fresh)
