"""The root command, its subcommands for specs and credentials, the tour and the local server."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from ..exceptions import ConfigurationError
from ..instances import api
from ..instances.lookup import FILE_VARIABLE
from ..model.schema import TABLES
from ..model.validation import check
from ..testing import dynamodb_server
from . import openapi
from .broker import broker_command
from .command_group import Commands, ReadingCommand, require_persistent
from .copy import copy_command
from .export_import import export_command, import_command
from .output import count_of, json_option, print_json, print_message, print_rows, printable
from .shards import shards
from .tables import tables
from .tour import run_tour

if TYPE_CHECKING:
    from ..types import TSpecInfo

_SPEC_COLUMNS = ("id", "name", "version", "model_count", "updated_at", "title")

yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="open-alchemy.package-database")
def commands() -> None:
    """Manage the specs, versions and credentials of users.

    --url selects the store, such as sqlite:///a.db or dynamodb://eu-west-1. Its default is the environment variable
    PACKAGE_DATABASE_URL. If neither is set, STAGE selects the store: TEST is a DynamoDB at http://localhost:8000 or at
    AWS_ENDPOINT_URL_DYNAMODB, PROD is DynamoDB on AWS. Only tour, serve, copy and publish --dry-run need none of them.

    --instance selects an instance of the file that PACKAGE_DATABASE_INSTANCES names.

    Exit codes: 0 success, 1 failure, 2 wrong input, 130 interrupted.
    """


@commands.command()
@click.option("--verbose", is_flag=True, help="Show every request.")
def tour(*, verbose: bool) -> None:
    """Call every function on example data, and print and check the results.

    Without --url and --instance the tour starts a local DynamoDB. With one of them it creates the data of a new user,
    and deletes it at the end.
    """
    selected = api.selected_instance()
    raise SystemExit(run_tour(Console(), selected.config if selected else None, verbose=verbose))


@commands.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--sub", required=True, help="The user's unique id.")
@click.option("--name", help="The name of the spec. The default is the document's title.")
@click.option("--dry-run", is_flag=True, help="Check the document without storing it.")
@json_option
def publish(file: Path, sub: str, name: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Store the OpenAPI document FILE as a version of a spec; - is standard input.

    FILE is JSON if its name ends in .json, otherwise YAML. References to other files are not followed.
    """
    document = openapi.read(file)
    spec: dict[str, Any] = {
        "sub": sub,
        "name": name or document.title,
        "version": document.version,
        "model_count": document.model_count,
        "title": document.title,
        "description": document.description,
    }
    if dry_run:
        check(spec)
    else:
        require_persistent(api.current().config)
        api.get().create_update_spec(**spec)
    if as_json:
        print_json(spec)
        return
    action = "would publish" if dry_run else "published"
    models = count_of(document.model_count, "model")
    print_message(f"{action} {spec['name']} {document.version} with {models} for {sub}")


@commands.command(cls=ReadingCommand)
@click.argument("sub")
@json_option
def specs(sub: str, *, as_json: bool) -> None:
    """List the newest version of each spec of the user SUB.

    Columns: id, name, version, model count, time, title. If the output is not a terminal, tabs separate them.
    """
    _show_specs(api.get().list_specs(sub=sub), as_json=as_json)


@commands.command(cls=ReadingCommand)
@click.argument("sub")
@click.argument("name")
@json_option
def versions(sub: str, name: str, *, as_json: bool) -> None:
    """List every version of the spec NAME of the user SUB, oldest first. The columns are those of the command specs."""
    _show_specs(api.get().list_spec_versions(sub=sub, name=name), as_json=as_json)


@commands.command(cls=ReadingCommand)
@click.argument("sub")
@json_option
def count(sub: str, *, as_json: bool) -> None:
    """Print the number of models in the newest versions of all specs of the user SUB."""
    models = api.get().count_customer_models(sub=sub)
    if as_json:
        print_json({"sub": sub, "model_count": models})
    else:
        click.echo(models)


@commands.command(cls=ReadingCommand)
@click.argument("sub")
@json_option
def credentials(sub: str, *, as_json: bool) -> None:
    """List the ids and public keys of the credentials of the user SUB. Secrets are never printed."""
    rows = [{"id": found["id"], "public_key": found["public_key"]} for found in api.get().list_credentials(sub=sub)]
    print_rows(rows, ("id", "public_key"), as_json=as_json)


@commands.command(cls=ReadingCommand)
@click.argument("sub")
@click.argument("name", required=False)
@click.option("--all", "is_all", is_flag=True, help="Delete all specs and all credentials of the user.")
@yes_option
def delete(sub: str, name: str | None, *, is_all: bool, yes: bool) -> None:
    """Delete the spec NAME of the user SUB with all its versions, or all data of the user, after a confirmation."""
    if is_all == (name is not None):
        raise click.UsageError("expected SUB NAME or SUB --all")
    database = api.get()
    if name is not None:
        database.get_latest_spec_version(sub=sub, name=name)  # Raises NotFoundError.
    what = printable(f"the spec {name} of {sub}" if name is not None else f"all specs and credentials of {sub}")
    if not yes and not click.confirm(f"Delete {what}?", err=True):
        raise click.ClickException("nothing was deleted")
    if name is not None:
        database.delete_spec(sub=sub, name=name)
    else:
        database.delete_all(sub=sub)
    print_message(f"deleted {what}")


@commands.command("instances", cls=click.Command)  # It lists stores, so it has no option --url.
@json_option
def list_instances(*, as_json: bool) -> None:
    """List the instances of the file PACKAGE_DATABASE_INSTANCES, after checking the whole file.

    Columns: id, store, default.
    """
    directory = api.directory()
    if not directory.has_ids():
        raise ConfigurationError(f"{FILE_VARIABLE} is not set")
    default = directory.default_id()
    rows = [
        {"id": name, "store": directory.get(name).config.location, "default": "default" if name == default else None}
        for name in directory.ids()
    ]
    print_rows(rows, ("id", "store", "default"), as_json=as_json)


@commands.command(cls=click.Command)  # It starts a store, so it has no option --url.
@click.option("--port", type=click.IntRange(1, 65535), default=dynamodb_server.DEFAULT_PORT, show_default=True)
def serve(port: int) -> None:
    """Run a local DynamoDB with both tables, for the development of a service."""
    with dynamodb_server.run(port) as url:
        administration = dynamodb_server.config_of(url).open_engine(TABLES).administration()
        for table in TABLES:
            administration.create(table)
        click.echo(f"DynamoDB with {' and '.join(table.name for table in TABLES)} at {url}")
        click.echo(f"Connect services with PACKAGE_DATABASE_URL=dynamodb://localhost:{port}")
        click.echo("Data is kept in memory only. Press Ctrl-C to stop.")
        _wait_for_signal()


def _wait_for_signal() -> None:
    """Waits for SIGINT (Ctrl-C) or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(1):
        pass


def _show_specs(found: Sequence[TSpecInfo], *, as_json: bool) -> None:
    print_rows([dict(spec) for spec in found], _SPEC_COLUMNS, as_json=as_json)


for _command in (broker_command, copy_command, export_command, import_command, shards, tables):
    commands.add_command(_command)
