"""Databases on the test servers, each empty and of its test's own."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from open_alchemy.package_database.engines.port import Config, Sharded
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing import postgresql_server

SERVER_VARIABLE = "PACKAGE_DATABASE_TEST_POSTGRESQL"

_NO_MAINTENANCE = ("autovacuum=off", "full_page_writes=off", "checkpoint_timeout=1d", "max_wal_size=4GB", "jit=off")
"""Without these settings the maintenance of hundreds of databases takes more time than the tests."""


@contextmanager
def run_servers() -> Iterator[tuple[str, str]]:
    """Yields the URLs of two servers, or of one twice that ``PACKAGE_DATABASE_TEST_POSTGRESQL`` names.

    The first one allows two-phase commits.
    """
    if url := os.environ.get(SERVER_VARIABLE):
        yield url, url
        return
    with ExitStack() as stack:
        first = stack.enter_context(postgresql_server.run("max_prepared_transactions=20", *_NO_MAINTENANCE))
        second = stack.enter_context(postgresql_server.run(*_NO_MAINTENANCE))
        yield first.url(), second.url()


def create_database(server: str) -> str:
    """Creates an empty database on a server and returns its URL."""
    name = f"test_{uuid4().hex}"
    execute(server, f'CREATE DATABASE "{name}" TEMPLATE template0')
    return f"{server.rpartition('/')[0]}/{name}"


_unused: defaultdict[str, list[str]] = defaultdict(list)
"""The URLs of empty databases by server. To empty a database takes a tenth of the time to create one."""

END_OTHER_SESSIONS = """
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_DROP_SLOTS = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
_DROP_SCHEMAS = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT pubname FROM pg_publication LOOP EXECUTE format('DROP PUBLICATION %I', name); END LOOP;
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_.*|information_schema|public)$' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
END $$
"""

_DATABASES_OF_ROLE = """
SELECT DISTINCT datname FROM pg_shdepend JOIN pg_database ON pg_database.oid = dbid
WHERE refclassid = 'pg_authid'::regclass AND refobjid = '{name}'::regrole
"""


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    """Yields the URL of an empty database, which may be changed except for its schema ``public``."""
    unused = _unused[server]
    url = unused.pop() if unused else create_database(server)
    yield url
    execute(url, END_OTHER_SESSIONS, _DROP_SLOTS, _DROP_SCHEMAS, f'ALTER DATABASE "{name_of(url)}" RESET ALL')
    unused.append(url)


@contextmanager
def empty_map(servers: Sequence[str], folder: Path, shards: int) -> Iterator[str]:
    """Yields the URL of a shard map of empty databases, one on each server."""
    with ExitStack() as stack:
        urls = [stack.enter_context(empty_database(server)) for server in servers]
        yield write_shard_map(folder, urls, shards)


@contextmanager
def temporary_role(servers: Collection[str]) -> Iterator[str]:
    """Yields the name of a new role on some servers, which may log in. It is dropped with its objects and rights."""
    name = f"role_{uuid4().hex}"
    for server in servers:
        execute(server, f"CREATE ROLE {name} LOGIN")
    yield name
    for server in servers:
        for (database,) in execute(server, _DATABASES_OF_ROLE.format(name=name)):
            execute(f"{server.rpartition('/')[0]}/{database}", END_OTHER_SESSIONS, f"DROP OWNED BY {name}")
        # This also revokes rights on databases.
        execute(server, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def name_of(url: str) -> str:
    """Returns the name of the database in a URL."""
    return url.rpartition("/")[2]


def execute(conninfo: str, *statements: str) -> list[Any]:
    """Executes statements on their own and returns the rows of the last one."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursors = [connection.execute(statement.encode()) for statement in statements]
        return cursors[-1].fetchall() if cursors[-1].description else []


def write_shard_map(folder: Path, urls: Sequence[str], shards: int, *settings: str) -> str:
    """Writes a file that distributes shards over databases, and returns its URL."""
    bounds = [1 + shards * place // len(urls) for place in range(len(urls) + 1)]
    lines = [f"shards = {shards}", *settings]
    for number, url in enumerate(urls):
        where = f'shards = "{bounds[number]}-{bounds[number + 1]}"'
        lines += ["[[servers]]", f'name = "db{number + 1}"', where, f'conninfo = "{url}"']
    path = folder / "shards.toml"
    path.write_text("\n".join(lines))
    return f"shards:///{path}"


def create_tables(url: str, *, shards: int) -> Config:
    """Creates the tables of a database, and returns its configuration."""
    config = from_url(url, os.environ)
    engine = config.open_engine(TABLES)
    administration = engine.administration()
    assert isinstance(administration, Sharded)
    administration.choose_shards(shards)
    for table in TABLES:
        administration.create(table)
    engine.close()
    return config


def clear_tables(config: Config) -> None:
    """Deletes everything in a database."""
    engine = config.open_engine(TABLES)
    for table in TABLES:
        engine.administration().clear(table)
    engine.close()
