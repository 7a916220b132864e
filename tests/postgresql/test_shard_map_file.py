"""The shard of a key, and the file that distributes shards over servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database import ConfigurationError
from open_alchemy.package_database.engines.postgresql.shard_hash import MAX_SHARDS, schema_of, shard_of
from open_alchemy.package_database.engines.postgresql.shard_map_file import parse_shard_map
from open_alchemy.package_database.engines.registry import from_url

VECTORS = [
    ("", 64, 21),
    ("u1", 64, 59),
    ("user@example.com", 64, 33),
    ("é", 64, 20),
    ("u1", 1, 1),
    ("u1", 8191, 8006),
]


@pytest.mark.parametrize(("key", "shards", "expected"), VECTORS)
def test_the_shard_of_a_key_never_changes(key: str, shards: int, expected: int) -> None:
    assert shard_of(key, shards) == expected


def test_every_shard_gets_its_part_of_the_keys() -> None:
    found = [shard_of(f"user {number}", 8) for number in range(8_000)]

    counts = [found.count(shard) for shard in range(1, 9)]
    assert sum(counts) == 8_000
    assert min(counts) > 900


def test_a_schema_is_named_after_its_shard() -> None:
    assert [schema_of(shard) for shard in (1, 64, MAX_SHARDS)] == ["shard0001", "shard0064", "shard8191"]


def server(**changes: Any) -> dict[str, Any]:
    return {"name": "db1", "shards": "1-65", "conninfo": "password=canary"} | changes


INVALID: list[tuple[dict[str, Any], str]] = [
    ({}, "servers must be a list"),
    ({"servers": []}, "servers must be a list"),
    ({"servers": [3]}, r"servers\[1\] must be a table"),
    ({"servers": [server()], "shard": 1}, "unknown key shard: expected"),
    ({"servers": [server(host="a")]}, r"unknown key servers\[1\].host"),
    ({"servers": [server(name=" ")]}, r"servers\[1\].name must be a text"),
    ({"servers": [server(conninfo=3)]}, r"servers\[1\].conninfo must be a text"),
    ({"servers": [server(shards="1-64")]}, "shard 64 is on no server"),
    ({"servers": [server(), server(name="db2", shards="64-65")]}, "shard 64 is on more than one server"),
    ({"servers": [server(), server(shards="1-2")]}, "each name must be unique"),
    *(
        ({"servers": [server(shards=given)]}, r'servers\[1\].shards must be "FIRST-END"')
        for given in (7, "1", "0-65", "2-2", "1-66", "1-65 ", "a-b")
    ),
    *(({"servers": [server()], "shards": given}, "shards must be a whole number") for given in (0, 8192, True, 1.0)),
    *(({"servers": [server()], "pool_max": given}, "pool_max must be a whole number") for given in (0, "10", False)),
    *(
        ({"servers": [server()], "pool_block_timeout": given}, "pool_block_timeout must be a number")
        for given in (0, -1.0, "5", True, 10**400, float("inf"), float("nan"))
    ),
]


@pytest.mark.parametrize(("content", "message"), INVALID)
def test_an_invalid_shard_map_names_the_key(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_shard_map(content)

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("content", [b"shards = ", b"\xff", None])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "shards.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match="shards.toml"):
        from_url(f"shards:///{path}", {})


def test_the_configuration_shows_no_connection_string(tmp_path: Path) -> None:
    path = tmp_path / "shards.toml"
    path.write_text('shards = 1\n[[servers]]\nname = "a"\nshards = "1-2"\nconninfo = "password=canary"\n')

    for config in (
        from_url(f"shards:///{path}", {}),
        from_url("postgresql://user:canary@host:5432,other/name?password=canary&sslmode=require", {}),
    ):
        assert "canary" not in f"{config!r} {config.location}"


def test_a_location_is_the_hosts_and_the_database() -> None:
    assert from_url("postgresql://user:secret@host:5432/a?x=1", {}).location == "postgresql://host:5432/a"
