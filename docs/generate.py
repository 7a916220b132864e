"""Writes the files that are derived from the schema and the access patterns.

``docs/tables.md`` lists the tables, and the operations of each access pattern on the in-memory model. ``types.py`` and
``async_types.py`` contain the protocols of the database.

    python -m docs.generate          writes the files
    python -m docs.generate --check  fails if a file differs from what would be written
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs import async_datastore, async_objects, layers, protocols
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
from open_alchemy.package_database.model import ACCESS_PATTERNS, credentials, specs
from open_alchemy.package_database.model.access_pattern import AccessPattern
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import MemoryStore

PAGE = Path(__file__).parent / "tables.md"

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
    "revision": "revision-1699999900",
}
TYPES = {"S": "text", "N": "number", "B": "binary"}

INTRODUCTION = """\
# Tables and access patterns

This page is written by `python -m docs.generate` from the schema and the access patterns in `model/`; do not edit it.

`sub` is the id of a user. A spec has a *version record* for each published version, and a *latest record*, which is a
copy of the newest one. Therefore one query reads the newest versions of all specs of a user, and one query reads all
versions of a spec.

A version record and the latest record are written in one transaction. A record is deleted only in a transaction that
checks that the latest record is unchanged since it was read. Therefore a spec exists if and only if its latest record
exists, and the latest record equals the newest version record except for the two sort keys.
"""

PATTERNS = """\
## Access patterns

The operations of each function at second 1700000000, for user `u1`, who has the spec `My.Spec` in the versions 1.0 and
1.1 and the credentials `laptop`. In an unbounded function, each page and each transaction restarts the deadline; the
deadline bounds any other function as a whole.
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
    arguments = _required(pattern)
    call = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    lines = [f"### {pattern.question}\n", f"`{pattern.name}({call})`", ""]
    if pattern.unbounded:
        lines += ["Unbounded.", ""]
    lines += ["| operation | table or index | request |", "|---|---|---|"]
    for operation in _operations(pattern, arguments):
        explained = explain(operation)
        request = "<br>".join(line.replace("|", "\\|") for line in explained.parameters)
        lines.append(f"| {explained.operation} | {explained.target} | {request} |")
    return "\n".join(lines) + "\n"


def _operations(pattern: AccessPattern[..., Any], arguments: dict[str, Any]) -> list[StoreOperation]:
    store = MemoryStore()
    for seconds, version in ((NOW - 200, "1.0"), (NOW - 100, "1.1")):
        _run(specs.create_update_spec, {**_required(specs.create_update_spec), "version": version}, store, seconds)
    stored = credentials.create_update_credentials
    _run(stored, _required(stored), store, NOW)
    return _run(pattern, arguments, store, NOW)


def _required(pattern: AccessPattern[..., Any]) -> dict[str, Any]:
    """Returns examples of the arguments without a default."""
    parameters = inspect.signature(pattern.steps).parameters.values()
    return {each.name: ARGUMENTS[each.name] for each in parameters if each.default is each.empty}


def _run(
    pattern: AccessPattern[..., Any], arguments: dict[str, Any], store: MemoryStore, now: int
) -> list[StoreOperation]:
    operations: list[StoreOperation] = []

    def perform(operation: Operation) -> Any:
        match operation:
            case Stamp():
                return Stamped(now, f"revision-{now}")
            case Backoff():
                return None
            case _:
                operations.append(operation)
                return drive(store.steps(operation), lambda _: None)

    drive(pattern.steps(**arguments), perform)
    return operations


FILES: dict[Path, Callable[[], str]] = {
    PAGE: page,
    protocols.TYPES: lambda: protocols.formatted(protocols.render_types(), protocols.TYPES),
    protocols.ASYNC_TYPES: lambda: protocols.formatted(protocols.render_async_types(), protocols.ASYNC_TYPES),
    async_objects.PAGE: lambda: protocols.formatted(async_objects.render(), async_objects.PAGE),
    async_datastore.PAGE: lambda: protocols.formatted(async_datastore.render(), async_datastore.PAGE),
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
        print(f"{path.name} is out of date: run python -m docs.generate", file=sys.stderr)  # noqa: T201
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
