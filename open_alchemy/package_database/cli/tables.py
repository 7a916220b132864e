"""The commands for the tables themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..admin.client import Store
from ..admin.upgrade import State, check_one_form, survey, upgrade
from ..admin.upgrade_marks import Marks
from ..core.operations import Table
from ..engines.port import KeyInfo, TableInfo
from ..exceptions import RefusedError
from ..model.schema import CREDENTIALS, TABLES
from ..model.validation import check
from .command_group import Commands
from .output import json_option, progress, say, show, telling_os_errors

_COLUMNS = ("table", "status", "keys", "indexes", "items", "bytes")


@click.group(cls=Commands)
def tables() -> None:
    """Create, describe, upgrade or delete the tables of the configured database."""


@tables.command("create")
def create_tables() -> None:
    """Create the tables that are not there yet."""
    store = Store.configured()
    # Asked before any is created: the first one may bring the others with it.
    missing = [table for table in TABLES if store.administration.describe(table) is None]
    for table in TABLES:
        if table in missing:
            store.administration.create(table)
            click.echo(f"created {table.name} at {store.place}")
        else:
            click.echo(f"{table.name} is already at {store.place}")


@tables.command("describe")
@json_option
def describe_tables(*, as_json: bool) -> None:
    """Show the tables, and how they differ from what they must be; exit with 1 where they do.

    With STAGE=PROD they must have point-in-time recovery, deletion protection, on-demand billing and encryption with a
    key of AWS KMS too, and no time to live.
    """
    store = Store.configured()
    rows: list[dict[str, Any]] = []
    for table in TABLES:
        found = store.administration.differences(table)
        rows.append(_row(table, store.administration.describe(table)) | {"differences": found})
    show(rows, _COLUMNS, as_json=as_json)
    differences = [f"{row['table']}: {difference}" for row in rows for difference in row["differences"]]
    for difference in differences:
        say(difference)
    if differences:
        raise click.ClickException(
            f"the tables at {store.place} are not what they must be; differences: {len(differences)}"
        )


@tables.command("upgrade")
@click.option("--from", "version", type=click.Choice(["4"]), required=True, help="The version that wrote the tables.")
@click.option(
    "--marks",
    "marks_file",
    type=click.Path(path_type=Path),
    required=True,
    help="The file that says which credentials are rewritten; always the same one for the same tables.",
)
@click.option("--sub", help="Only the credentials of this user.")
@click.option("--write", is_flag=True, help="Rewrite them; without it, nothing is changed.")
def upgrade_tables(version: str, marks_file: Path, sub: str | None, *, write: bool) -> None:
    """Turn the secrets that version 4 stored as base64 text into the bytes themselves.

    Without --write it only says what it would do. Safe to stop and to repeat with the same file of marks. Stop the
    services of version 4 first.
    """
    del version  # There is only one.
    if sub is not None:
        check({"sub": sub})
    store = Store.configured()
    marks = Marks(marks_file, _identity(store))
    with progress("reading", store.expected_items([CREDENTIALS]) if sub is None else None) as advance:
        found = survey(store.read, marks, sub, advance)
    for state in State:
        if found[state]:
            say(f"{CREDENTIALS.name} at {store.place}: {found[state]} credentials: {state.value}")
    check_one_form(found)
    left = found[State.TEXT] + found[State.TEXT_OF_TEXT]
    if not write or not left:
        say(f"nothing was changed; --write rewrites {left} credentials" if left else "there is nothing to rewrite")
        return
    with telling_os_errors(marks_file), marks.opened(), progress("rewriting", found.total()) as advance:
        found = upgrade(store.read, store.transact, marks, sub, advance)
    say(f"rewritten, now or before: {found[State.DONE]}; replaced by others since: {found[State.REPLACED]}")


def _identity(store: Store) -> str:
    """Returns what the marks are bound to: a table that was restored is still the one that they are of."""
    identity = store.identity([CREDENTIALS], "TableArn")
    if identity is None:
        raise RefusedError(f"DescribeTable of {CREDENTIALS.name} is refused: whose table it is cannot be told")
    return identity


@tables.command("delete")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_tables(*, yes: bool) -> None:
    """Delete the tables with all that is in them, after asking."""
    store = Store.configured()
    names = " and ".join(table.name for table in TABLES)
    if not yes:
        click.confirm(f"Delete {names} at {store.place}, with everything in them?", abort=True)
    for table in TABLES:
        click.echo(f"deleted {table.name}" if store.administration.delete(table) else f"{table.name} was not there")


def _row(table: Table, info: TableInfo | None) -> dict[str, Any]:
    if info is None:
        return {"table": table.name, "status": "MISSING"}
    return {
        "table": table.name,
        "status": info.status,
        "keys": _keys(info.keys),
        "indexes": ", ".join(f"{index.name} ({_keys(index)})" for index in info.indexes),
        "items": info.items,
        "bytes": info.size,
    }


def _keys(keys: KeyInfo) -> str:
    return ", ".join(name for name in (keys.partition_key, keys.sort_key) if name is not None)
