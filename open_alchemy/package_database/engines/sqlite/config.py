"""The configuration of SQLite, from a URL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

from ...core.operations import Table
from ..port import DEFAULT_DEADLINE, AsyncEngine, DatabaseURLError, Engine, Environment, read_deadline

URLS: Final = ("sqlite://", "sqlite:///RELATIVE/PATH", "sqlite:////ABSOLUTE/PATH")


class SQLiteConfig(NamedTuple):
    """The configuration of a SQLite database.

    Attributes:
        path: The absolute path of the file; None for a database in memory.
        memory: The name of the database in memory, which exists once per process and name.
        deadline: The deadline of a call in seconds.
    """

    path: Path | None = None
    memory: str = ""
    deadline: float = DEFAULT_DEADLINE

    @property
    def location(self) -> str:
        """The path of the file."""
        return str(self.path or "sqlite://, in memory")

    def open_engine(self, tables: Sequence[Table]) -> Engine:
        """Returns an engine for threads."""
        from .engine import open_sqlite

        return open_sqlite(self, tables)

    def open_async_engine(self, tables: Sequence[Table]) -> AsyncEngine:
        """Returns an engine for asyncio."""
        from ..async_adapter import ThreadedEngine
        from .engine import open_sqlite

        return ThreadedEngine(open_sqlite(self, tables))


def read_url(rest: str, environment: Environment) -> SQLiteConfig:
    """Returns the configuration of a ``sqlite`` URL, in SQLAlchemy's notation.

    ``sqlite://`` is the database in memory. A slash and a path is a file; a relative path is relative to the current
    folder at the time of this call. Percent-encoded bytes of the path are decoded as UTF-8.

    https://docs.sqlalchemy.org/en/20/core/engines.html#sqlite

    Args:
        rest: The part of the URL after ``sqlite://``.
        environment: The environment variables.

    Raises:
        DatabaseURLError: The URL is invalid; the message contains no part of it.
        ConfigurationError: The deadline is invalid.
    """
    deadline = read_deadline(environment)
    if not rest:
        return SQLiteConfig(deadline=deadline)
    if not rest.startswith("/"):
        raise DatabaseURLError("expected sqlite:///RELATIVE/PATH or sqlite:////ABSOLUTE/PATH")
    if "?" in rest or "#" in rest:
        raise DatabaseURLError("a sqlite URL has no parameters; encode ? and # in a path as %3F and %23")
    try:
        path = unquote(rest[1:], errors="strict")
    except UnicodeDecodeError:
        raise DatabaseURLError("the path must be percent-encoded UTF-8") from None
    if not path or "\0" in path or path == ":memory:":
        raise DatabaseURLError("the path of a file must follow sqlite:///; the database in memory is sqlite://")
    try:
        os.fsencode(path)
        return SQLiteConfig(Path(path).absolute(), deadline=deadline)
    except UnicodeEncodeError:
        raise DatabaseURLError("the path contains characters that a file name cannot contain") from None
    except OSError as error:
        raise DatabaseURLError("the path is relative and the current folder does not exist") from error
