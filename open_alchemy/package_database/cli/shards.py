"""The commands ``shards`` and ``shards move``."""

from __future__ import annotations

from typing import Any

import click

from ..admin.table_client import AdminClient
from ..engines.port import MoveReporter, Sharded
from .command_group import Commands, StoreCommand, select_store, store_options
from .output import json_option, print_message, print_rows, progress

_COLUMNS = ("shard", "server", "rows", "bytes", "moves_to")


def sharded(client: AdminClient, option: str = "") -> Sharded:
    """Returns the administration of the shards of a store; raises ``UsageError`` if it has none."""
    if not isinstance(client.administration, Sharded):
        raise click.UsageError(f"{option}{client.location} has no shards")
    return client.administration


class StoreCommands(Commands):
    """Commands that share a store, one of which is the group itself."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += store_options()

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command on the selected store."""
        select_store(ctx)
        return super().invoke(ctx)


@click.group(cls=StoreCommands, invoke_without_command=True)
@json_option
@click.pass_context
def shards(context: click.Context, *, as_json: bool) -> None:
    """List the shards of a PostgreSQL database, or move one.

    Columns: shard, server, rows and bytes of all its tables, target of an unfinished move. If the output is not a
    terminal, tabs separate them.
    """
    if context.invoked_subcommand is not None:
        return
    found = sharded(AdminClient.configured()).shards()
    rows: list[dict[str, Any]] = [
        {"shard": info.shard, "server": info.server, "rows": info.rows, "bytes": info.size, "moves_to": info.moves_to}
        for info in found
    ]
    print_rows(rows, _COLUMNS, as_json=as_json)


@shards.command("move", cls=StoreCommand)
@click.argument("shard", type=int)
@click.option("--to", "target", required=True, help="The name of a server of the shard map.")
def move_shard(shard: int, target: str) -> None:
    """Move SHARD to another server while it is used.

    Run the same command again after an interruption: it continues. To cancel an unfinished move, name the server that
    has the shard.
    """
    client = AdminClient.configured()
    sharded(client).move(shard, target, MoveReporter(lambda message: print_message(f"warning: {message}"), progress))
    print_message(f"shard {shard} is on {target}")
