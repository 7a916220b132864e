"""The configuration from a database URL, and the databases that ``connect`` and ``aconnect`` open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConfigurationError, RefusedError
from open_alchemy.package_database.database import Database
from open_alchemy.package_database.engines.dynamodb import config as dynamodb
from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS, Credentials, DynamoDBConfig
from open_alchemy.package_database.engines.postgresql import config as postgresql
from open_alchemy.package_database.engines.postgresql import shards_url
from open_alchemy.package_database.engines.registry import from_environment, from_url
from open_alchemy.package_database.engines.sqlite import config as sqlite
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from tests.canned_server import serve, succeed

AWS = {"AWS_REGION": "eu-west-1"}


@pytest.fixture
def fresh_process(fresh_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extends the fixture of the same name by an environment that configures no store."""
    for name in ("STAGE", "PACKAGE_DATABASE_URL", "PACKAGE_DATABASE_DEADLINE", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "config"),
    [
        ("dynamodb://", DynamoDBConfig("PROD", "eu-west-1")),
        ("dynamodb://us-gov-west-1", DynamoDBConfig("PROD", "us-gov-west-1")),
        ("DynamoDB://ap-southeast-2/", DynamoDBConfig("PROD", "ap-southeast-2")),
        *[
            (f"dynamodb://{address}", DynamoDBConfig("TEST", "eu-west-1", f"http://{address}", DUMMY_CREDENTIALS))
            for address in ("localhost:8000", "127.0.0.1:1", "[::1]:65535", "dynamodb_local:8000")
        ],
        ("sqlite://", SQLiteConfig()),
        ("sqlite:////absolute/a.db", SQLiteConfig(Path("/absolute/a.db"))),
        ("sqlite:///relative/a.db", SQLiteConfig(Path.cwd() / "relative/a.db")),
        ("SQLite:///C:/x", SQLiteConfig(Path("C:/x").absolute())),
        ("sqlite:////a%20b%3F%23%25%C3%A9.db", SQLiteConfig(Path("/a b?#%é.db"))),
        ("sqlite:////100%.db", SQLiteConfig(Path("/100%.db"))),
    ],
)
def test_a_url_selects_the_store(url: str, config: object) -> None:
    assert from_url(url, AWS) == config


def test_region_and_credentials_come_from_the_environment() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "PACKAGE_DATABASE_DEADLINE": "2"}
    endpoint = {"AWS_ENDPOINT_URL_DYNAMODB": "https://localhost:1"}

    local = from_url("dynamodb://localhost:8000", keys | endpoint)
    aws = from_url("dynamodb://eu-west-1", keys | endpoint)

    credentials = Credentials("id", "key")
    assert local == DynamoDBConfig("TEST", "us-east-1", "http://localhost:8000", credentials, deadline=2)
    assert aws == DynamoDBConfig("PROD", "eu-west-1", "https://localhost:1", deadline=2)


def test_the_deadline_of_a_sqlite_database_comes_from_the_environment() -> None:
    assert from_url("sqlite://", {"PACKAGE_DATABASE_DEADLINE": "2"}) == SQLiteConfig(deadline=2)


UNKNOWN = [
    "",
    "a.db",
    "/a.db",
    "sqlite:",
    "sqlite:/a.db",
    "://",
    " sqlite://",
    "postgres://host/a",
    "sqlite3:///a.db",
]
UNREADABLE = [
    *("dynamodb://localhost", "dynamodb://localhost:0", "dynamodb://localhost:65536", "dynamodb://localhost:x"),
    *("dynamodb:///eu-west-1", "dynamodb://localhost:8000/path", "dynamodb://eu-west-1?x=1", "dynamodb://[::1"),
    *("dynamodb://a b:1", "dynamodb://EU-WEST-1", "dynamodb://localhost:8000#x", "dynamodb://localhost:8000\n"),
    *("sqlite://a.db", "sqlite://host/a.db", "sqlite:///", "sqlite:///a.db?mode=ro", "sqlite:///a.db#x"),
    *("sqlite:///\ud800.db", "sqlite:////\udfff/a.db"),
    *(
        "postgresql://host/a b",
        "postgresql://host/a\n",
        "shards://",
        "shards:///",
        "shards://a.toml",
        "shards:///a?x=1",
    ),
    *("sqlite:///a%00b", "sqlite:///a%FF", "sqlite:///:memory:", "sqlite://?x=1", "sqlite://:memory:"),
]


@pytest.mark.parametrize("url", [*UNKNOWN, *UNREADABLE])
def test_an_invalid_url_lists_the_supported_forms(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_url(url, AWS)

    assert str(caught.value).startswith("the URL ")
    for known in (*dynamodb.URLS, *sqlite.URLS, *postgresql.URLS, *shards_url.URLS):
        assert known in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:canary@host/a b",
        "postgres://user:canary@host/a",
        "dynamodb://user:canary@localhost:8000",
        "dynamodb://canary@eu-west-1",
        "sqlite://user:canary@host/a.db",
        "sqlite:///a.db?key=canary",
        "user:canary@host",
        "user:canary@host://x",
    ],
)
def test_a_password_in_a_url_is_not_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_url(url, AWS)

    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the current folder")
def test_a_relative_path_without_a_current_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    with pytest.raises(ConfigurationError, match="the current folder does not exist"):
        from_url("sqlite:///a.db", {})


@pytest.mark.parametrize("url", [None, 1, Path("sqlite:///a.db")])
def test_a_url_must_be_a_string(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="the URL is not a database URL: no scheme"):
        package_database.connect(url)


def test_a_database_shows_its_location() -> None:
    def fail() -> Any:
        raise ConfigurationError("no store")

    assert repr(package_database.connect("dynamodb://localhost:8000")) == "<Database: http://localhost:8000>"
    assert repr(package_database.aconnect("sqlite://")) == "<AsyncDatabase: sqlite://, in memory>"
    assert repr(Database(fail)) == "<Database: not configured>"  # type: ignore[abstract]


def test_the_url_of_the_environment_needs_no_stage() -> None:
    assert from_environment({"PACKAGE_DATABASE_URL": "sqlite://"}) == SQLiteConfig()
    assert from_environment({"PACKAGE_DATABASE_URL": "sqlite://", "STAGE": "STAGING"}) == SQLiteConfig()


def test_an_empty_url_in_the_environment_is_ignored() -> None:
    with pytest.raises(ConfigurationError, match="no database is configured"):
        from_environment({"PACKAGE_DATABASE_URL": ""})


def test_the_error_names_the_invalid_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"^PACKAGE_DATABASE_URL is not a database URL"):
        from_environment({"PACKAGE_DATABASE_URL": "a.db"})
    with pytest.raises(ConfigurationError, match=r"^PACKAGE_DATABASE_DEADLINE must be a number of seconds .* 'abc'$"):
        from_environment({"PACKAGE_DATABASE_URL": "sqlite://", "PACKAGE_DATABASE_DEADLINE": "abc"})
    with pytest.raises(ConfigurationError, match="PACKAGE_DATABASE_DEADLINE must be a number"):
        from_environment({"PACKAGE_DATABASE_URL": "sqlite://", "PACKAGE_DATABASE_DEADLINE": "0"})


@pytest.mark.usefixtures("fresh_process")
def test_get_opens_the_url_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PACKAGE_DATABASE_URL", f"sqlite:///{tmp_path / 'a.db'}")

    database = package_database.get()

    assert not list(tmp_path.iterdir())
    database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
    assert (tmp_path / "a.db").exists()
    assert package_database.get() is database


def test_a_relative_path_is_resolved_when_the_database_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with package_database.connect("sqlite:///a.db") as database:
        monkeypatch.chdir("/")
        database.list_specs(sub="u1")

    assert (tmp_path / "a.db").exists()


def test_connect_returns_another_database_than_get(tmp_path: Path) -> None:
    with (
        package_database.connect(f"sqlite:///{tmp_path}/a.db") as one,
        package_database.connect(f"sqlite:///{tmp_path}/b.db") as other,
    ):
        one.create_update_spec(sub="u1", name="a", version="1", model_count=1)

        assert other.list_specs(sub="u1") == []
        assert one is not package_database.get()


def test_sqlite_in_memory_is_one_database_per_process() -> None:
    with package_database.connect("sqlite://") as one:
        one.create_update_spec(sub="memory", name="a", version="1", model_count=1)

    with package_database.connect("sqlite://") as other:
        assert other.get_latest_spec_version(sub="memory", name="a") == "1"
        other.delete_all(sub="memory")


@pytest.mark.parametrize("scheme", ["sqlite", "dynamodb"])
def test_a_closed_database_raises_refused_error(scheme: str, tmp_path: Path) -> None:
    with serve(succeed({})) as server:
        url = {"sqlite": f"sqlite:///{tmp_path}/a.db", "dynamodb": server.url.replace("http", "dynamodb")}[scheme]
        database = package_database.connect(url)
        database.get_spec(sub="u1", name="a")

        database.close()
        database.close()

    with pytest.raises(RefusedError, match="the database was closed") as caught:
        database.get_spec(sub="u1", name="a")
    assert caught.value.code == "Closed"


def run(program: str, **environment: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


USE = """
import sys
from open_alchemy import package_database
database = package_database.get()
print(sorted({"boto3", "botocore", "sqlite3"} & sys.modules.keys()))
database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
print(sorted({"boto3", "botocore", "sqlite3"} & sys.modules.keys()))
"""


def test_a_driver_is_loaded_only_for_its_scheme(tmp_path: Path) -> None:
    printed = run(USE, PACKAGE_DATABASE_URL=f"sqlite:///{tmp_path}/a.db").splitlines()

    assert printed[1] == "['sqlite3']"


def test_dynamodb_loads_no_sqlite() -> None:
    printed = run(USE.rpartition("database.create")[0], PACKAGE_DATABASE_URL="dynamodb://eu-west-1")

    assert printed == "[]"
