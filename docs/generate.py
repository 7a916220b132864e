"""Writes what follows from other files, so that it cannot drift from them.

``docs/tables.md`` from the schema and the access patterns: each is run on the in-memory model with an example, and what
it asks of the store is written down. ``async_types.py``, the awaiting face's interface, from the blocking face's.

    python -m docs.generate          write the files
    python -m docs.generate --check  fail where a file is not what would be written
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs import layers
from open_alchemy.package_database import types
from open_alchemy.package_database.cli.operation_text import explain
from open_alchemy.package_database.core.operations import (
    Backoff,
    Index,
    Operation,
    Stamp,
    Stamped,
    StoreOperation,
    Table,
)
from open_alchemy.package_database.core.runner import drive
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.model import ACCESS_PATTERNS
from open_alchemy.package_database.model.access_pattern import AccessPattern
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import MemoryStore

PAGE = Path(__file__).parent / "tables.md"
INTERFACE = Path(types.__file__)
ASYNC_INTERFACE = INTERFACE.with_name("async_types.py")

NOW = 1_700_000_000
ARGUMENTS: dict[str, Any] = {
    "sub": "u1",
    "name": "My.Spec",
    "version": "2.0",
    "model_count": 3,
    "id_": "laptop",
    "public_key": "pk",
    "secret_key_hash": Secret(b"hash"),
    "salt": Secret(b"salt"),
}
TAKES: dict[str, tuple[str, ...]] = {
    "create_update_spec": ("sub", "name", "version", "model_count"),
    "create_update_credentials": ("sub", "id_", "public_key", "secret_key_hash", "salt"),
    "get_user": ("public_key",),
    **dict.fromkeys(("get_latest_spec_version", "get_spec", "delete_spec", "list_spec_versions"), ("sub", "name")),
    **dict.fromkeys(("get_credentials", "delete_credentials"), ("sub", "id_")),
}
TYPES = {"S": "text", "N": "number", "B": "binary"}

ASYNC_HEADER = '''\
"""The interface of the database for asyncio.

Written by ``python -m docs.generate`` from ``types.py``; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from .auth_info import CredentialsAuthInfo
    from .types import BytesLike, TCredentialsInfo, TCredentialsInfoList, TSpecInfo, TSpecInfoList


class AsyncTDatabase(Protocol):
'''
ASYNC_FOOTER = '''
    async def aclose(self) -> None:
        """Closes the connections of the running loop; a later call opens new ones.

        They are closed too where the loop shuts its asynchronous generators down, as ``asyncio.run`` makes it do.
        """

    async def __aenter__(self) -> Self:
        """Returns the database."""

    async def __aexit__(self, *_: object) -> None:
        """Closes as ``aclose`` does."""
'''
INTRODUCTION = """\
# Tables and access patterns

This page is written by `python -m docs.generate` from `tables/schema.py` and the access patterns; do not edit it.

A user is `sub`. A spec has one *version record* for each published version, and one *latest record*, a copy of the
newest: so the newest versions of all of a user's specs are one query, and all versions of one spec are another.

Writing a version and its latest record is one transaction, and a record is only deleted in a transaction that checks
that the latest record is still the one that was read. A spec is there if and only if its latest record is there, and
that equals its newest version record but for the two sort keys.
"""

PATTERNS = """\
## Access patterns

What each function asks of the store, at second 1700000000, for user `u1` with spec `My.Spec` in the versions 1.0 and
1.1 and the credentials `laptop`. A function that moves any number of items may take as long as it makes progress; any
other ends with its deadline.
"""


def page() -> str:
    """Returns the page."""
    return "\n".join([INTRODUCTION, *map(_table, TABLES), PATTERNS, *map(_pattern, ACCESS_PATTERNS)])


def _table(table: Table) -> str:
    lines = [f"## Table `{table.name}`\n", "| | name | partition key | sort key | reads |", "|---|---|---|---|---|"]
    lines.append(_keyed("table", table, "strongly consistent"))
    for index in table.indexes:
        reads = "strongly consistent" if index.scope == "local" else "eventually consistent"
        lines.append(_keyed(f"{index.scope} secondary index, all attributes projected", index, reads))
    lines += ["", "| attribute | type | meaning |", "|---|---|---|"]
    lines += [f"| `{entry.name}` | {TYPES[entry.type]} | {entry.meaning} |" for entry in table.attributes]
    return "\n".join(lines) + "\n"


def _keyed(kind: str, keyed: Table | Index, reads: str) -> str:
    sort_key = f"`{keyed.sort_key}`" if keyed.sort_key else "-"
    return f"| {kind} | `{keyed.name}` | `{keyed.partition_key}` | {sort_key} | {reads} |"


def _pattern(pattern: AccessPattern[..., Any]) -> str:
    arguments = {name: ARGUMENTS[name] for name in TAKES.get(pattern.name, ("sub",))}
    call = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    lines = [f"### {pattern.question}\n", f"`{pattern.name}({call})`", ""]
    if pattern.unbounded:
        lines += ["Moves any number of items.", ""]
    lines += ["| operation | table or index | asks |", "|---|---|---|"]
    for operation in _asked(pattern, arguments):
        explained = explain(operation)
        asked = "<br>".join(line.replace("|", "\\|") for line in explained.parameters)
        lines.append(f"| {explained.operation} | {explained.target} | {asked} |")
    return "\n".join(lines) + "\n"


def _asked(pattern: AccessPattern[..., Any], arguments: dict[str, Any]) -> list[StoreOperation]:
    store = MemoryStore()
    for seconds, version in ((NOW - 200, "1.0"), (NOW - 100, "1.1")):
        filled = {**ARGUMENTS, "version": version}
        _run("create_update_spec", {name: filled[name] for name in TAKES["create_update_spec"]}, store, seconds)
    _run(
        "create_update_credentials", {name: ARGUMENTS[name] for name in TAKES["create_update_credentials"]}, store, NOW
    )
    return _run(pattern.name, arguments, store, NOW)


def _run(name: str, arguments: dict[str, Any], store: MemoryStore, now: int) -> list[StoreOperation]:
    asked: list[StoreOperation] = []

    def perform(operation: Operation) -> Any:
        match operation:
            case Stamp():
                return Stamped(now, f"revision-{now}")
            case Backoff():
                return None
            case _:
                asked.append(operation)
                return drive(store.steps(operation), lambda _: None)

    pattern = next(pattern for pattern in ACCESS_PATTERNS if pattern.name == name)
    drive(pattern.steps(**arguments), perform)
    return asked


def async_interface() -> str:
    """Returns the text of async_types.py: the blocking face's interface with coroutines for its functions."""
    _, _, rest = INTERFACE.read_text(encoding="utf-8").partition("\nclass TDatabase(Protocol):\n")
    body, _, _ = rest.partition("\n\nclass ")
    body = body.replace('"""The database. Every', '"""The database, for ``await``. Every', 1)
    body = body.replace("\n    def ", "\n    async def ")
    return ASYNC_HEADER + body + ASYNC_FOOTER


FILES: dict[Path, Callable[[], str]] = {
    PAGE: page,
    ASYNC_INTERFACE: async_interface,
    layers.PAGE: layers.page,
    layers.DIAGRAM: layers.svg,
}


def main(arguments: list[str]) -> int:
    """Writes or checks the files, and returns the exit code."""
    stale = [path for path, text in FILES.items() if not path.exists() or path.read_text(encoding="utf-8") != text()]
    if arguments != ["--check"]:
        for path in stale:
            path.write_text(FILES[path](), encoding="utf-8")
        return 0
    for path in stale:
        print(f"{path.name} is not what its source says: run python -m docs.generate", file=sys.stderr)  # noqa: T201
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
