"""The command ``broker``."""

from __future__ import annotations

import sys
from pathlib import Path

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
@click.option("--expose", multiple=True, metavar="MODULE", help="Clients may call its exposed functions; repeatable.")
def broker_command(
    listen: tuple[str, ...], concurrency: int, queue: int, *, allow_administration: bool, expose: tuple[str, ...]
) -> None:
    """Serve the selected store to other processes, until SIGTERM or Ctrl-C."""
    try:
        from ..broker.process import Options, run
    except ImportError as error:
        raise ConfigurationError(
            "the broker needs pyzmq and msgspec: pip install 'open-alchemy.package-database[broker,cli]'"
        ) from error
    if expose:
        # As `python -m` does: the modules of the application are in the current directory, if not installed.
        sys.path.insert(0, str(Path.cwd()))
    options = Options(listen, concurrency, queue, allow_administration, expose)
    run(
        process.current().config,
        TABLES,
        options,
        lambda address: click.echo(f"The broker listens at {address}"),
    )
