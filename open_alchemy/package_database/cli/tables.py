"""The commands on the tables."""

from __future__ import annotations

from typing import Any

import click

from ..admin.client import AdminClient
from ..admin.upgrade import State, survey, upgrade
from ..core.operations import Table
from ..engines.port import KeyInfo, Sharded, TableInfo
from ..model.schema import CREDENTIALS, TABLES
from ..model.validation import check
from .command_group import Commands
from .output import json_option, progress, say, show

_COLUMNS = ("table", "status", "keys", "indexes", "items", "bytes")


@click.group(cls=Commands)
def tables() -> None:
    """Create, describe, upgrade or delete the tables of the configured database."""


@tables.command("create")
@click.option("--shards", type=int, help="The number of shards of a new PostgreSQL database; 64 without it.")
def create_tables(shards: int | None) -> None:
    """Create the tables that do not exist."""
    store = AdminClient.configured()
    if shards is not None:
        if not isinstance(store.administration, Sharded):
            raise click.UsageError(f"--shards: {store.place} has no shards")
        store.administration.choose_shards(shards)
    # Before any is created: on SQLite the first one creates the others too.
    missing = [table for table in TABLES if store.administration.describe(table) is None]
    for table in TABLES:
        if table in missing:
            store.administration.create(table)
            click.echo(f"created {table.name} at {store.place}")
        else:
            click.echo(f"{table.name} already exists at {store.place}")


@tables.command("describe")
@json_option
def describe_tables(*, as_json: bool) -> None:
    """Show the tables and their differences from the schema. The exit code is 1 if there are any.

    With STAGE=PROD, point-in-time recovery, deletion protection, on-demand billing and encryption with a key of AWS KMS
    are required too, and a time to live is a difference.
    """
    store = AdminClient.configured()
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
            f"the tables at {store.place} differ from the schema; differences: {len(differences)}"
        )


@tables.command("upgrade")
@click.option("--from", "version", type=click.Choice(["4"]), required=True, help="The version that wrote the tables.")
@click.option("--sub", help="Only the credentials of this user.")
@click.option("--write", is_flag=True, help="Upgrade them; without it, nothing is changed.")
def upgrade_tables(version: str, sub: str | None, *, write: bool) -> None:
    """Decode the secrets that version 4 stored as base64 text.

    Without --write, only count them. Can be interrupted and repeated, also while services of version 5 run. Stop the
    services of version 4 first: they cannot read upgraded credentials.
    """
    del version  # There is only one.
    if sub is not None:
        check({"sub": sub})
    store = AdminClient.configured()
    with progress("reading", store.expected_items([CREDENTIALS]) if sub is None else None) as advance:
        found = survey(store.read, sub, advance)
    for state in State:
        if found[state]:
            say(f"{CREDENTIALS.name} at {store.place}: {found[state]} credentials: {state.value}")
    left = found[State.ENCODED] + found[State.UNMARKED]
    if not write or not left:
        say(f"nothing was changed; --write upgrades {left} credentials" if left else "there is nothing to upgrade")
        return
    with progress("upgrading", found.total()) as advance:
        found = upgrade(store.read, store.transact, sub, advance)
    say(f"upgraded: {found[State.UPGRADED]}; changed by others meanwhile: {found[State.CHANGED]}")


@tables.command("delete")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_tables(*, yes: bool) -> None:
    """Delete the tables with all their data. Asks first."""
    store = AdminClient.configured()
    names = " and ".join(table.name for table in TABLES)
    if not yes and not click.confirm(f"Delete {names} at {store.place} with all their data?", err=True):
        raise click.ClickException("nothing was deleted")
    for table in TABLES:
        click.echo(f"deleted {table.name}" if store.administration.delete(table) else f"{table.name} does not exist")


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
