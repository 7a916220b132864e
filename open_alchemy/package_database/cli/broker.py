"""The commands ``broker``, ``broker keys`` and ``broker status``."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import click

from ..engines.broker.config import BrokerConfig
from ..exceptions import ConfigurationError
from ..instances import api
from ..model.schema import TABLES
from .command_group import StoreCommand
from .output import json_option, print_json, print_message

_RIGHTS = ("read", "write", "call", "events")


class _BrokerCommand(StoreCommand, click.Group):
    """A command on a store, and a group of commands."""


@click.group("broker", cls=_BrokerCommand, invoke_without_command=True)
@click.option(
    "--listen",
    multiple=True,
    default=("tcp://127.0.0.1:5757",),
    show_default=True,
    help="The address at which clients connect; may be repeated.",
)
@click.option("--keys", type=click.Path(path_type=Path), help="The folder of 'broker keys'; required beyond loopback.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes on one port.")
@click.option("--metrics", metavar="HOST:PORT", help="Serve /metrics in Prometheus' format, and /ready, over HTTP.")
@click.option("--concurrency", type=click.IntRange(1), default=64, show_default=True, help="Requests executed at once.")
@click.option("--queue", type=click.IntRange(0), default=2000, show_default=True, help="Requests that may wait.")
@click.option(
    "--client-requests",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Unanswered requests of a client.",
)
@click.option("--advertise", default="", help="Where other brokers and caching clients reach it; default: --listen.")
@click.option(
    "--granters",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Brokers of the store that may let clients cache; the same in all brokers; each worker is one.",
)
@click.option("--allow-administration", is_flag=True, help="Clients may create, empty and delete tables.")
@click.option("--expose", multiple=True, metavar="MODULE", help="Clients may call its exposed functions; repeatable.")
@click.pass_context
def broker_command(context: click.Context, /, *, allow_administration: bool, **options: Any) -> None:
    """Serve the selected store, or all instances, to other processes, until SIGTERM or Ctrl-C.

    --concurrency and --queue apply to each worker.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        from ..broker.main import Options, run
    except ImportError as error:
        raise _missing() from error
    if options["expose"]:
        # As `python -m` does: the modules of the application are in the current directory, if not installed.
        sys.path.insert(0, str(Path.cwd()))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    run(
        TABLES,
        Options(allows_administration=allow_administration, **options),
        lambda address: click.echo(f"The broker listens at {address}"),
    )


@broker_command.command("keys", cls=click.Command)  # It works on no store, so it has no option --url.
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--client", "clients", multiple=True, metavar="NAME", help="Create a client; may be repeated.")
@click.option("--may", multiple=True, type=click.Choice(_RIGHTS), help="A right of the clients; all if not given.")
@click.option(
    "--may-use", "instances", multiple=True, metavar="ID", help="An instance of the clients; all if not given."
)
def keys_command(folder: Path, clients: tuple[str, ...], may: tuple[str, ...], instances: tuple[str, ...]) -> None:
    """Create the keys of a broker in FOLDER, unless they exist, and those of clients.

    broker.key and clients.toml are for the broker, which is started with --keys FOLDER. NAME.key is for the client
    NAME, whose URL is broker://HOST:PORT?key=PATH. clients.toml lists what each client may do.
    """
    try:
        from ..broker.key_files import NewClient, create_keys
    except ImportError as error:
        raise _missing() from error
    for path in create_keys(folder, [NewClient(name, may or _RIGHTS, instances) for name in clients]):
        print_message(f"created {path}")


@broker_command.command("status", cls=StoreCommand)
@json_option
def status_command(*, as_json: bool) -> None:
    """Print the figures of the broker at --url broker://HOST:PORT."""
    config = api.current().config
    if not isinstance(config, BrokerConfig):
        raise ConfigurationError("broker status needs the URL of a broker: --url broker://HOST:PORT")
    figures = asyncio.run(_read_figures(config))
    if as_json:
        print_json(figures)
        return
    for name, value in figures.items():
        click.echo(f"{name}\t{value:g}")


async def _read_figures(config: BrokerConfig) -> dict[str, float]:
    from ..engines.broker.async_engine import AsyncBrokerEngine

    engine = AsyncBrokerEngine(config)
    await engine.prepare()
    from ..engines.broker.messages import Figures, Status

    try:
        answer = await engine.ask(Status(), "Status")
    finally:
        await engine.aclose()
    return dict(answer.figures) if isinstance(answer, Figures) else {}


def _missing() -> ConfigurationError:
    return ConfigurationError(
        "the broker needs pyzmq and msgspec: pip install 'open-alchemy.package-database[broker,cli]'"
    )
