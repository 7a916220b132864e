"""This package on a SQLite file, and the same statements with ``sqlite3`` on the same file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final

from .examples import NAME, SUB

DISTRIBUTIONS = ()
_SPECS: Final = 1_000
_SELECT: Final = 'SELECT * FROM "package.specs" WHERE sub = ? AND updated_at_id = ?'
_LIST: Final = 'SELECT * FROM "package.specs" WHERE sub = ? AND updated_at_id >= ? AND updated_at_id < ?'
_PUT: Final = 'INSERT OR REPLACE INTO "package.specs" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'


def row(sub: str, name: str, moment: str) -> tuple[Any, ...]:
    """Returns a record as a row of the table."""
    return sub, name, name, "1700000000", "1", 3, "A title", None, "9f0c" * 8, f"{moment}#{name}", f"{name}#{moment}"


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases. Creates and fills the file of a database URL."""
    from open_alchemy import package_database

    database, versions = package_database.connect(url), count()
    database.create_update_spec(sub=SUB, name=NAME, version="1", model_count=3, title="A title")
    bare = connect(url)
    fill(bare, ((f"lister {SUB}", f"spec-{number:04}") for number in range(_SPECS)))
    latest = (SUB, f"latest#{NAME}")

    def transact() -> None:
        bare.execute("BEGIN IMMEDIATE")
        version = f"{next(versions):020}"
        bare.execute(_PUT, row("bare", "spec", version))
        bare.execute(_PUT, row("bare", "spec", "latest"))
        bare.execute("COMMIT")

    return {
        "get_spec": lambda: database.get_spec(sub=SUB, name=NAME),
        "select": lambda: bare.execute(_SELECT, latest).fetchone(),
        "create_update_spec": lambda: database.create_update_spec(
            sub=SUB, name=NAME, version=f"3.{next(versions)}", model_count=3
        ),
        "transaction": transact,
        "list_1000": lambda: database.list_specs(sub=f"lister {SUB}"),
        "select_1000": lambda: bare.execute(_LIST, (f"lister {SUB}", "latest#", "latest$")).fetchall(),
    }


def connect(url: str) -> Any:
    """Returns a new connection with the durability of the package's connections."""
    import sqlite3

    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def fill(connection: Any, specs: Any) -> None:
    """Stores a version and the latest record of each spec, in one transaction."""
    records: Sequence[str] = (f"{1_700_000_000:020}", "latest")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_PUT, (row(sub, name, moment) for sub, name in specs for moment in records))
    connection.execute("COMMIT")
