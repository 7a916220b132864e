"""The test server names the reason when it cannot be run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from open_alchemy.package_database.testing import postgresql_server
from open_alchemy.package_database.testing.postgresql_server import PostgreSQLServer, PostgreSQLServerError


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user of the server can reach."""
    created = Path(mkdtemp())
    created.chmod(0o755)
    yield created
    shutil.rmtree(created)


def test_a_setting_that_does_not_exist_is_named() -> None:
    refused = pytest.raises(PostgreSQLServerError, match=r'did not start: .*"no_such_setting"')
    with refused, postgresql_server.run("no_such_setting=1"):
        pass


def test_a_missing_package_is_named() -> None:
    refused = pytest.raises(PostgreSQLServerError, match="pip install no-such-package")
    with refused, postgresql_server.run(package="no_such_package"):
        pass


def test_the_message_of_a_failed_program_is_shown(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "file").touch()

    with pytest.raises(PostgreSQLServerError, match=r'initdb failed: .*"data" exists but is not empty'):
        PostgreSQLServer(folder)
