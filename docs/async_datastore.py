"""Renders the datastore of the async API from that of the sync API."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent / "open_alchemy" / "package_database" / "datastore"
SOURCE = _PACKAGE / "sync_datastore.py"
PAGE = _PACKAGE / "async_datastore.py"

_REPLACEMENTS = (
    (r'^""".*?"""', '"""The datastore for asyncio.\n\nWritten by ``python -m docs.generate``; do not edit it.\n"""'),
    ("for any number of threads", "for any number of event loops, each with separate pools"),
    ("every connection of every pool", "every connection of the running loop"),
    (r"postgresql\.engine", "postgresql.async_engine"),
    ("import Callable, Iterator,", "import Iterator, Callable,"),
    (r"( +from \.\.engines[^\n]+ Cursor\n)( +from \.\.)types( import TDatabase\n)", r"\2async_types\3\1"),
    (r"\ba Datastore needs a database", "an AsyncDatastore needs an async database"),
    ("not a database on", "not an async database on"),
    (r"\b(Datastore|PostgreSQLEngine|TDatabase|Connection|Cursor|Iterator)\b", r"Async\1"),
    (r"\bcontextmanager\b", "asynccontextmanager"),
    (r"\bdef (?!__|of\b|resolve|reinstantiate)", "async def "),
    (
        r"(= |return |^ +)(?=(self\._run|self\.(get|put)_connection|pool_of|connection\.commit|engine\.run)\()",
        r"\1await ",
    ),
    (r"\bengine\.prepare\(", "await engine.prepare("),
    (r"self\._resolve\(\)\.close\(", "await self._resolve().aclose("),
    (r"\bwith connection\.cursor", "async with connection.cursor"),
)


def render() -> str:
    """Returns the text of async_datastore.py, not formatted."""
    text = SOURCE.read_text(encoding="utf-8")
    for pattern, replacement in _REPLACEMENTS:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL | re.MULTILINE)
    return text
