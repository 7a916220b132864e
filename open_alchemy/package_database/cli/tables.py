"""The commands ``tables create``, ``describe``, ``upgrade``, ``repair`` and ``delete``."""

from __future__ import annotations

from typing import Any

import click

from ..admin.table_client import AdminClient
from ..admin.upgrade import State, survey, upgrade
from ..core.operations import Table
from ..engines.port import KeyInfo, Sharded, TableInfo
from ..instances import api
from ..model.schema import CREDENTIALS, TABLES
from ..model.validation import check
from .command_group import Commands, require_persistent
from .output import json_option, print_message, print_rows, progress
from .shards import sharded

_COLUMNS = ("table", "status", "keys", "indexes", "items", "bytes")


@click.group(cls=Commands)
def tables() -> None:
    """Create, describe, upgrade or delete the tables of the selected store."""


@tables.command("create")
@click.option("--shards", type=int, help="The number of shards of a new PostgreSQL database; 64 without it.")
def create_tables(shards: int | None) -> None:
    """Create the tables that do not exist."""
    require_persistent(api.current().config)
    client = AdminClient.configured()
    if shards is not None:
        sharded(client, "--shards: ").choose_shards(shards)
    # Described before any is created, because SQLite creates all tables together.
    missing = [table for table in TABLES if client.administration.describe(table) is None]
    for table in TABLES:
        if table in missing:
            client.administration.create(table)
            click.echo(f"created {table.name} at {client.location}")
        else:
            click.echo(f"{table.name} already exists at {client.location}")


@tables.command("describe")
@json_option
def describe_tables(*, as_json: bool) -> None:
    """Show the tables and their differences from the schema. The exit code is 1 if they differ.

    STAGE=PROD also requires point-in-time recovery, deletion protection, on-demand billing and encryption with a key of
    AWS KMS, and forbids a time to live.
    """
    client = AdminClient.configured()
    rows: list[dict[str, Any]] = []
    for table in TABLES:
        found = client.administration.differences(table)
        rows.append(_row(table, client.administration.describe(table)) | {"differences": found})
    print_rows(rows, _COLUMNS, as_json=as_json)
    differences = [f"{row['table']}: {difference}" for row in rows for difference in row["differences"]]
    for difference in differences:
        print_message(difference)
    if differences:
        raise click.ClickException(
            f"the tables at {client.location} differ from the schema; differences: {len(differences)}"
        )


@tables.command("upgrade")
@click.option("--from", "version", type=click.Choice(["4"]), required=True, help="The version that wrote the tables.")
@click.option("--sub", help="Only the credentials of this user.")
@click.option("--write", is_flag=True, help="Upgrade the credentials. Without this option, nothing is changed.")
def upgrade_tables(version: str, sub: str | None, *, write: bool) -> None:
    """Decode the secrets that version 4 stored as base64 text.

    Without --write, only count them. The command can be interrupted and repeated, and services of version 5 can run at
    the same time. Stop the services of version 4 first: they cannot read upgraded credentials.
    """
    del version  # Version 4 is the only choice.
    if sub is not None:
        check({"sub": sub})
    client = AdminClient.configured()
    with progress("reading", client.expected_items([CREDENTIALS]) if sub is None else None) as advance:
        found = survey(client.read, sub, advance)
    for state in State:
        if found[state]:
            print_message(f"{CREDENTIALS.name} at {client.location}: {found[state]} credentials: {state.value}")
    left = found[State.ENCODED] + found[State.UNMARKED]
    if not write or not left:
        print_message(
            f"nothing was changed; --write upgrades {left} credentials" if left else "all credentials are current"
        )
        return
    with progress("upgrading", found.total()) as advance:
        found = upgrade(client.read, client.transact, sub, advance)
    print_message(f"upgraded: {found[State.UPGRADED]}; changed during the upgrade: {found[State.CHANGED]}")


@tables.command("repair")
def repair_tables() -> None:
    """Delete stale entries of the index of public keys, which PostgreSQL stores in the shard of each key.

    A command or a service that was killed may leave such an entry. It does no harm. Writers can run at the same time.
    """
    client = AdminClient.configured()
    if not isinstance(client.administration, Sharded):
        print_message(f"{client.location} has nothing to repair: its index of public keys has no stale entries")
        return
    deleted = client.administration.repair()
    print_message(f"deleted {deleted} stale {'entry' if deleted == 1 else 'entries'} at {client.location}")


@tables.command("delete")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def delete_tables(*, yes: bool) -> None:
    """Delete the tables with all their data, after a confirmation."""
    client = AdminClient.configured()
    names = " and ".join(table.name for table in TABLES)
    if not yes and not click.confirm(f"Delete {names} at {client.location} with all their data?", err=True):
        raise click.ClickException("nothing was deleted")
    for table in TABLES:
        click.echo(f"deleted {table.name}" if client.administration.delete(table) else f"{table.name} does not exist")


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
