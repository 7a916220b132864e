"""This package on PostgreSQL, and the same statements through psycopg_pool on the same database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count, cycle
from tempfile import NamedTemporaryFile
from typing import Any, Final

from .examples import NAME, SUB

DISTRIBUTIONS = ("psycopg", "psycopg-pool")
USERS: Final = [f"user {number}" for number in range(256)]
_WARMUPS: Final = 3
_COLUMNS: Final = (
    "sub, id, name, updated_at, version, model_count, title, description, revision, updated_at_id, id_updated_at"
)
_KEY: Final = "package_database.digest(sub) = package_database.digest(%s)"
SELECT: Final = f"SELECT {_COLUMNS} FROM shard0001.specs WHERE {_KEY} AND updated_at_id = %s"  # noqa: S608 (constants)
LATEST: Final = (SUB, f"latest#{NAME}")
_LIST: Final = (
    f"SELECT {_COLUMNS} FROM shard0001.specs "  # noqa: S608 (constants)
    f"WHERE {_KEY} AND updated_at_id >= %s AND updated_at_id < %s ORDER BY updated_at_id"
)
_UPDATES: Final = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", "))
_PUT: Final = (
    f"INSERT INTO shard0001.specs ({_COLUMNS}) VALUES ({', '.join(['%s'] * 11)}) "  # noqa: S608 (constants)
    f"ON CONFLICT (package_database.digest(sub), updated_at_id) DO UPDATE SET {_UPDATES}"
)
_FILL: Final = f"""
INSERT INTO shard0001.specs ({_COLUMNS})
SELECT %s, 'spec-' || number, 'spec-' || number, '1700000000', '1', 3, 'A title', NULL, md5(number::text),
       moment || '#spec-' || number, 'spec-' || number || '#' || moment
FROM generate_series(1, %s) AS number,
     (SELECT 'latest' UNION ALL SELECT lpad((1700000000 - age)::text, 20, '0') FROM generate_series(0, %s) AS age)
     AS moments (moment)
"""  # noqa: S608 (constants)

_INDEXES: Final = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'shard0001' AND tablename = 'specs'"
_SPECS: Final = 1_000
_MANY_VERSIONS: Final = 1_000
"""Of each spec: together 1,000,000."""


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases. Creates databases on the first of the servers at some URLs, which spaces separate."""
    from psycopg_pool import ConnectionPool

    url = url.split(maxsplit=1)[0]
    one, many, large = (create([url], name, shards) for name, shards in (("one", 1), ("many", 64), ("large", 1)))
    fill(one, versions=1)
    fill(large, versions=_MANY_VERSIONS)
    databases = {name: connect(database) for name, database in (("one", one), ("many", many), ("large", large))}
    numbers, users = count(), cycle(USERS)
    pool: Any = ConnectionPool(one, min_size=1, max_size=10, open=True)

    def select() -> object:
        with pool.connection() as connection:
            return connection.execute(SELECT, LATEST).fetchone()

    def transact() -> None:
        id_ = f"bare-{next(numbers)}"
        with pool.connection() as connection:
            for moment in (f"{1_700_000_000:020}", "latest"):
                keys = (f"{moment}#{id_}", f"{id_}#{moment}")
                connection.execute(_PUT, (SUB, id_, id_, "1700000000", "1", 3, None, None, "9f0c" * 8, *keys))

    def select_1000() -> object:
        with pool.connection() as connection:
            return connection.execute(_LIST, ("lister", "latest#", "latest$")).fetchall()

    return {
        "get_spec": lambda: databases["one"].get_spec(sub=SUB, name=NAME),
        "select": select,
        "create_update_spec": lambda: databases["one"].create_update_spec(
            sub=SUB, name=f"ours-{next(numbers)}", version="1", model_count=3
        ),
        "transaction": transact,
        "list_1000": lambda: databases["one"].list_specs(sub="lister"),
        "select_1000": select_1000,
        "users_1": lambda: databases["one"].get_spec(sub=next(users), name=NAME),
        "users_64": lambda: databases["many"].get_spec(sub=next(users), name=NAME),
        "large": lambda: databases["large"].get_spec(sub=SUB, name=NAME),
    }


def create(servers: Sequence[str], name: str, shards: int) -> str:
    """Creates a database with tables on one server, or distributed over several, and returns its URL."""
    import psycopg

    from open_alchemy.package_database.engines.registry import from_url
    from open_alchemy.package_database.model.schema import TABLES

    for server in servers:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
    urls = [f"{server.rpartition('/')[0]}/{name}" for server in servers]
    created = urls[0] if len(urls) == 1 else _write_shard_map(urls, shards)
    administration: Any = from_url(created, {}).open_engine(TABLES).administration()
    administration.choose_shards(shards)
    for table in TABLES:
        administration.create(table)
    return created


def _write_shard_map(urls: Sequence[str], shards: int) -> str:
    """Writes a file that distributes shards over databases, and returns its URL."""
    lines = [f"shards = {shards}"]
    for number, url in enumerate(urls):
        first, end = (1 + shards * place // len(urls) for place in (number, number + 1))
        lines += ["[[servers]]", f'name = "{number}"', f'shards = "{first}-{end}"', f'conninfo = "{url}"']
    with NamedTemporaryFile("w", suffix=".toml", delete=False) as file:
        file.write("\n".join(lines))
    return f"shards:///{file.name}"


def connect(url: str) -> Any:
    """Opens a database, with a spec of each user and of ``SUB``, and with warm connections.

    psycopg prepares the statement of a shard when it is executed for the sixth time, and PostgreSQL then plans it five
    times. 64 shards have four of the users each.
    """
    from open_alchemy import package_database

    database = package_database.connect(url)
    for sub in (SUB, *USERS):
        database.create_update_spec(sub=sub, name=NAME, version="1", model_count=3, title="A title")
    for sub in _WARMUPS * USERS:
        database.get_spec(sub=sub, name=NAME)
    return database


def fill(url: str, versions: int) -> None:
    """Stores versions and the latest record of each of 1,000 specs; the indexes are created afterwards."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        indexes = connection.execute(_INDEXES.encode()).fetchall()
        for index, _ in indexes:
            connection.execute(f'DROP INDEX shard0001."{index}"'.encode())
        connection.execute(_FILL.encode(), ("lister", _SPECS, versions - 1))
        for _, definition in indexes:
            connection.execute(definition.encode())
        connection.execute("ANALYZE")
