"""The commands: what a person or a program asks of the configured database."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from .. import instances
from ..model.schema import TABLES
from ..testing import local_server
from . import openapi
from .command_group import Commands
from .copy import copy_command
from .export import export_command, import_command
from .output import json_option, show
from .tables import tables
from .tour import take_tour

if TYPE_CHECKING:
    from ..types import TSpecInfo

_SPEC_COLUMNS = ("id", "name", "version", "model_count", "updated_at", "title")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="open-alchemy.package-database")
def commands() -> None:
    """Remember which specs, versions and credentials a user has.

    The commands talk to the database at --url, such as dynamodb://eu-west-1 or sqlite:///a.db; or to that of the
    environment variable PACKAGE_DATABASE_URL; or to that of STAGE: TEST is a DynamoDB at http://localhost:8000, or
    where AWS_ENDPOINT_URL_DYNAMODB says; PROD is DynamoDB on AWS. Only tour and serve need none of them.
    """


@commands.command()
def tour() -> None:
    """See every function at work and what each asks of the store: a DynamoDB of its own, or that at --url."""
    selected = instances.selected()
    raise SystemExit(take_tour(Console(), selected.config if selected else None))


@commands.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sub", required=True, help="The user's unique id.")
@click.option("--name", help="The name of the spec; the document's title where it is left out.")
def publish(file: Path, sub: str, name: str | None) -> None:
    """Publish the OpenAPI document FILE, in YAML or JSON, as a version of a spec."""
    document = openapi.read(file)
    spec = name or document.title
    instances.get().create_update_spec(
        sub=sub,
        name=spec,
        version=document.version,
        model_count=document.model_count,
        title=document.title,
        description=document.description,
    )
    click.echo(f"published {spec} {document.version} with {document.model_count} models for {sub}")


@commands.command()
@click.argument("sub")
@json_option
def specs(sub: str, *, as_json: bool) -> None:
    """List the newest version of each spec of the user SUB."""
    _show_specs(instances.get().list_specs(sub=sub), as_json=as_json)


@commands.command()
@click.argument("sub")
@click.argument("name")
@json_option
def versions(sub: str, name: str, *, as_json: bool) -> None:
    """List every version of the spec NAME of the user SUB, oldest first."""
    _show_specs(instances.get().list_spec_versions(sub=sub, name=name), as_json=as_json)


@commands.command()
@click.argument("sub")
@json_option
def credentials(sub: str, *, as_json: bool) -> None:
    """List the credentials of the user SUB: ids and public keys, never a salt or a hash."""
    rows = [
        {"id": found["id"], "public_key": found["public_key"]} for found in instances.get().list_credentials(sub=sub)
    ]
    show(rows, ("id", "public_key"), as_json=as_json)


@commands.command(cls=click.Command)  # It makes a store, and takes none.
@click.option("--port", type=click.IntRange(1, 65535), default=local_server.DEFAULT_PORT, show_default=True)
def serve(port: int) -> None:
    """Run a local DynamoDB with both tables, to develop a service against with STAGE=TEST."""
    with local_server.run(port) as url:
        administration = local_server.config_of(url).open_engine(TABLES).administration()
        for table in TABLES:
            administration.create(table)
        click.echo(f"a DynamoDB with {' and '.join(table.name for table in TABLES)} is at {url}")
        if port != local_server.DEFAULT_PORT:
            click.echo(f"point services to it with AWS_ENDPOINT_URL_DYNAMODB={url}")
        click.echo("what it holds is lost when it ends: press Ctrl-C")
        _wait_for_a_signal()


def _wait_for_a_signal() -> None:
    """Waits for Ctrl-C, or for what a supervisor sends."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(1):
        pass


def _show_specs(found: Sequence[TSpecInfo], *, as_json: bool) -> None:
    show([dict(spec) for spec in found], _SPEC_COLUMNS, as_json=as_json)


for _command in (copy_command, export_command, import_command, tables):
    commands.add_command(_command)
