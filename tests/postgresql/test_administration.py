"""The tables of a PostgreSQL database: created, described, compared, emptied and deleted, in every shard."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from open_alchemy import package_database
from open_alchemy.package_database import ConfigurationError, RefusedError
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.datastore import Datastore
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES
from tests.canary import HASH, SALT
from tests.postgresql.databases import create_tables, execute, name_of, write_shard_map
from tests.unit.test_readme import EXAMPLE


def administration(url: str) -> Any:
    return from_url(url, os.environ).open_engine(TABLES).administration()


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_creates_describes_and_deletes(empty_url: str) -> None:
    created = invoke("tables", "create", "--shards", "3", "--url", empty_url)
    again = invoke("tables", "create", "--url", empty_url)
    described = invoke("tables", "describe", "--json", "--url", empty_url)
    schemas = execute(empty_url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'shard%' ORDER BY 1")
    deleted = invoke("tables", "delete", "--yes", "--url", empty_url)

    assert "created package.specs" in created
    assert "package.specs already exists" in again
    assert '"differences": []' in described
    assert schemas == [("shard0001",), ("shard0002",), ("shard0003",)]
    assert "deleted package.credentials" in deleted
    assert execute(empty_url, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(shard|package)'") == []


@pytest.mark.parametrize("shards", [0, 8192])
def test_the_number_of_shards_has_limits(empty_url: str, shards: int) -> None:
    with pytest.raises(ConfigurationError, match="must be from 1 to 8191"):
        administration(empty_url).choose_shards(shards)


def test_the_number_of_shards_of_a_database_cannot_be_changed(empty_url: str) -> None:
    create_tables(empty_url, shards=3)

    with pytest.raises(RefusedError, match="the database has 3 shards, not 5"):
        create_tables(empty_url, shards=5)


def test_a_store_without_shards_takes_no_number_of_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(commands, ["tables", "create", "--shards", "2", "--url", f"sqlite:///{tmp_path}/a.db"])

    assert result.exit_code != 0
    assert "has no shards" in result.output


def test_a_shard_map_creates_each_shard_on_its_server(empty_map_url: str) -> None:
    config: Any = create_tables(empty_map_url, shards=4)

    found = [
        execute(server.conninfo, "SELECT shard FROM package_database.shards ORDER BY 1") for server in config.servers
    ]

    assert found == [[(1,), (2,)], [(3,), (4,)]]
    assert administration(empty_map_url).differences(SPECS) == []


def test_the_number_of_shards_of_a_map_cannot_be_changed(
    empty_map_url: str, postgresql_servers: tuple[str, str], tmp_path: Path
) -> None:
    config: Any = create_tables(empty_map_url, shards=4)
    changed = write_shard_map(tmp_path, [server.conninfo for server in config.servers], 6)

    with (
        package_database.connect(changed) as database,
        pytest.raises(ConfigurationError, match="the number of shards cannot be changed"),
    ):
        database.list_specs(sub="u")
    with pytest.raises(ConfigurationError, match="the configuration has 6 shards"):
        administration(changed).choose_shards(4)


def test_a_database_without_tables_names_the_command(empty_url: str, empty_map_url: str) -> None:
    for url in (empty_url, empty_map_url):
        with (
            package_database.connect(url) as database,
            pytest.raises(RefusedError, match=re.escape("package-database tables create --url")),
        ):
            database.list_specs(sub="u")
        assert administration(url).describe(SPECS) is None
        assert administration(url).differences(SPECS) == ["the table is missing"]
        assert administration(url).delete(SPECS) is False


def test_the_description_has_the_items_of_all_shards(empty_map_url: str) -> None:
    create_tables(empty_map_url, shards=4)
    with package_database.connect(empty_map_url) as database:
        for number in range(12):
            database.create_update_spec(sub=f"u{number}", name="a", version="1", model_count=1)

    info = administration(empty_map_url).describe(SPECS)

    assert info.items == 24
    assert info.size > 0
    assert [index.name for index in info.indexes] == ["idUpdatedAt"]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("DROP TABLE shard0002.specs", "specs of shard 2 is missing"),
        ('DROP INDEX shard0002."package.specs.idUpdatedAt"', "package.specs.idUpdatedAt of shard 2 is missing"),
        (
            "ALTER TABLE shard0002.specs ALTER title TYPE TEXT",
            'the column title of specs of shard 2 is TEXT, not TEXT COLLATE "C"',
        ),
        ("ALTER TABLE shard0002.specs DROP COLUMN title", "the column title of specs of shard 2 is missing"),
        ("DELETE FROM package_database.shards WHERE shard = 2", "shard 2 is missing"),
    ],
)
def test_differences_are_found(empty_url: str, change: str, difference: str) -> None:
    create_tables(empty_url, shards=2)
    execute(empty_url, change)

    found = administration(empty_url).differences(SPECS)

    assert any(difference in sentence for sentence in found)


def test_creating_again_completes_what_is_missing(empty_url: str) -> None:
    create_tables(empty_url, shards=2)
    execute(empty_url, "DROP TABLE shard0002.specs", "DROP TABLE shard0001.tokens", "DROP TABLE shard0002.public_keys")

    create_tables(empty_url, shards=2)

    assert administration(empty_url).differences(SPECS) == administration(empty_url).differences(CREDENTIALS) == []


def test_a_database_must_be_utf_8(empty_url: str) -> None:
    name = f"{name_of(empty_url)}_latin1"
    execute(empty_url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING LATIN1 LC_CTYPE 'C' LC_COLLATE 'C'")

    with pytest.raises(RefusedError, match="must have the encoding UTF8, not LATIN1"):
        create_tables(f"{empty_url}_latin1", shards=1)
    execute(empty_url, f"DROP DATABASE {name} WITH (FORCE)")


GRANTS = re.search(
    r"```sql\n(.*?)```", (Path(__file__).parents[2] / "docs/postgresql.md").read_text(encoding="utf-8"), re.DOTALL
)


def test_the_grants_of_the_documentation_are_enough_for_a_service(empty_url: str, role: str) -> None:
    create_tables(empty_url, shards=2)
    assert GRANTS is not None
    execute(empty_url, GRANTS[1].replace("package_service", role))
    url = empty_url.replace("postgres@", f"{role}@")

    with package_database.connect(url) as database:
        database.create_update_spec(sub="u", name="a", version="1", model_count=1)
        database.create_update_credentials(sub="u", id_="1", public_key="pk", secret_key_hash=HASH, salt=SALT)
        found = database.get_user(public_key="pk")
        database.delete_all(sub="u")
        datastore = Datastore.of(database)
        data = datastore.get(datastore.put(1, 1, a="b"))

    assert found is not None
    assert data == {"a": "b"}
    with pytest.raises(RefusedError, match="permission denied"):
        create_tables(url, shards=2)


def test_the_right_to_create_in_the_database_is_enough_for_the_command(empty_url: str, role: str) -> None:
    execute(empty_url, f"GRANT CREATE ON DATABASE {name_of(empty_url)} TO {role}")
    url = empty_url.replace("postgres@", f"{role}@")

    create_tables(url, shards=2)

    assert administration(url).differences(SPECS) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("DROP TABLE shard0002.entities", "entities of shard 2 is missing"),
        ("DROP FUNCTION shard0002.next_id CASCADE", "next_id of shard 2 is missing"),
    ],
)
def test_missing_entities_are_found_and_created_again(empty_url: str, change: str, difference: str) -> None:
    create_tables(empty_url, shards=2)
    execute(empty_url, change)
    found = administration(empty_url).differences(SPECS)

    create_tables(empty_url, shards=2)
    with package_database.connect(empty_url) as database:
        datastore = Datastore.of(database)
        data = datastore.get(datastore.put(2, 1, a="b"))

    assert difference in found
    assert administration(empty_url).differences(SPECS) == []
    assert data == {"a": "b"}


@pytest.mark.parametrize("fixture", ["empty_url", "empty_map_url"])
def test_the_example_of_the_readme_runs_and_its_data_is_found(fixture: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(fixture)
    create_tables(url, shards=4)

    exec(EXAMPLE.replace("sqlite:///specs.db", url), {})  # noqa: S102 (the README's)

    with package_database.connect(url) as database:
        assert database.get_latest_spec_version(sub="user 1", name="my-spec") == "1.0"
