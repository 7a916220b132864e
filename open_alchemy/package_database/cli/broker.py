"""The command ``broker``."""

from __future__ import annotations

import click

from ..exceptions import ConfigurationError
from ..instances import process
from ..model.schema import TABLES
from .command_group import StoreCommand


@click.command("broker", cls=StoreCommand)
@click.option(
    "--listen",
    multiple=True,
    default=("tcp://127.0.0.1:5757",),
    show_default=True,
    help="The address at which clients connect; may be repeated.",
)
@click.option("--concurrency", type=click.IntRange(1), default=64, show_default=True, help="Requests executed at once.")
@click.option("--queue", type=click.IntRange(0), default=1000, show_default=True, help="Requests that may wait.")
@click.option("--allow-administration", is_flag=True, help="Clients may create, empty and delete tables.")
def broker_command(listen: tuple[str, ...], concurrency: int, queue: int, *, allow_administration: bool) -> None:
    """Serve the selected store to other processes, until SIGTERM or Ctrl-C."""
    try:
        from ..broker.process import Options, run
    except ImportError as error:
        raise ConfigurationError(
            "the broker needs pyzmq and msgspec: pip install 'open-alchemy.package-database[broker,cli]'"
        ) from error
    options = Options(listen, concurrency, queue, allow_administration)
    run(
        process.current().config,
        TABLES,
        options,
        lambda address: click.echo(f"The broker listens at {address}"),
    )
