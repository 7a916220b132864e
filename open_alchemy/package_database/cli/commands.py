"""The commands: what a person or a program asks of the configured database."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from .. import local_server, process, stores
from ..config import DUMMY_CREDENTIALS, DUMMY_REGION, DynamoDBConfig
from ..engines.dynamodb.administration import Administration
from ..engines.dynamodb.engine import DynamoDBEngine
from ..exceptions import BaseError, ConfigurationError, ValidationError
from ..tables.schema import TABLES
from . import openapi
from .tour import take_tour

if TYPE_CHECKING:
    from ..types import TSpecInfo

_SPEC_COLUMNS = ("id", "name", "version", "model_count", "updated_at", "title")


class _WrongInputError(click.ClickException):
    exit_code = 2


def _use(context: click.Context, _: click.Parameter, url: str | None) -> None:
    if url is not None:
        context.with_resource(process.at(url))


class _Command(click.Command):
    """A command on the store that the environment names, or that at the URL of its option ``--url``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.append(
            click.Option(
                ["--url"],
                expose_value=False,
                callback=_use,
                help="The URL of the store, such as sqlite:///a.db, before all that the environment says.",
            )
        )


class _Commands(click.Group):
    """Tells the package's errors in one line."""

    command_class = _Command
    group_class = type

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (BaseError, openapi.DocumentError) as error:
            is_wrong_input = isinstance(error, ConfigurationError | ValidationError | openapi.DocumentError)
            raise (_WrongInputError if is_wrong_input else click.ClickException)(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
    raise SystemExit(take_tour(Console(), process.chosen()))


@commands.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sub", required=True, help="The user's unique id.")
@click.option("--name", help="The name of the spec; the document's title where it is left out.")
def publish(file: Path, sub: str, name: str | None) -> None:
    """Publish the OpenAPI document FILE, in YAML or JSON, as a version of a spec."""
    document = openapi.read(file)
    spec = name or document.title
    process.get().create_update_spec(
        sub=sub,
        name=spec,
        version=document.version,
        model_count=document.model_count,
        title=document.title,
        description=document.description,
    )
    click.echo(f"published {spec} {document.version} with {document.model_count} models for {sub}")


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@commands.command()
@click.argument("sub")
@_json_option
def specs(sub: str, *, as_json: bool) -> None:
    """List the newest version of each spec of the user SUB."""
    _show_specs(process.get().list_specs(sub=sub), as_json=as_json)


@commands.command()
@click.argument("sub")
@click.argument("name")
@_json_option
def versions(sub: str, name: str, *, as_json: bool) -> None:
    """List every version of the spec NAME of the user SUB, oldest first."""
    _show_specs(process.get().list_spec_versions(sub=sub, name=name), as_json=as_json)


@commands.command()
@click.argument("sub")
@_json_option
def credentials(sub: str, *, as_json: bool) -> None:
    """List the credentials of the user SUB: ids and public keys, never a salt or a hash."""
    rows = [{"id": found["id"], "public_key": found["public_key"]} for found in process.get().list_credentials(sub=sub)]
    _show(rows, ("id", "public_key"), as_json=as_json)


@commands.command(cls=click.Command)  # It makes a store, and takes none.
@click.option("--port", type=click.IntRange(1, 65535), default=local_server.DEFAULT_PORT, show_default=True)
def serve(port: int) -> None:
    """Run a local DynamoDB with both tables, to develop a service against with STAGE=TEST."""
    with local_server.run(port) as url:
        administration = Administration(
            DynamoDBEngine(DynamoDBConfig("TEST", DUMMY_REGION, endpoint_url=url, credentials=DUMMY_CREDENTIALS))
        )
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


@commands.group()
def tables() -> None:
    """Create, describe or delete the tables of the configured database."""


def _administration() -> tuple[stores.Administration, str]:
    config = process.configure()
    return stores.administer(config), stores.place(config)


@tables.command("create")
def create_tables() -> None:
    """Create the tables that are not there yet."""
    administration, place = _administration()
    for table in TABLES:
        if administration.describe(table) is None:
            administration.create(table)
            click.echo(f"created {table.name} at {place}")
        else:
            click.echo(f"{table.name} is already at {place}")


@tables.command("describe")
@_json_option
def describe_tables(*, as_json: bool) -> None:
    """Show the tables with their keys, indexes and sizes; exit with 1 where one is missing."""
    administration, place = _administration()
    rows: list[dict[str, Any]] = []
    missing = []
    for table in TABLES:
        description = administration.describe(table)
        if description is None:
            missing.append(table.name)
            continue
        indexes = [
            index for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes") for index in description.get(kind, ())
        ]
        rows.append(
            {
                "table": table.name,
                "status": description["TableStatus"],
                "keys": _keys(description),
                "indexes": ", ".join(f"{index['IndexName']} ({_keys(index)})" for index in indexes),
                "items": description.get("ItemCount", 0),
                "bytes": description.get("TableSizeBytes", 0),
            }
        )
    _show(rows, ("table", "status", "keys", "indexes", "items", "bytes"), as_json=as_json)
    if missing:
        raise click.ClickException(f"{' and '.join(missing)} not found at {place}")


@tables.command("delete")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_tables(*, yes: bool) -> None:
    """Delete the tables with all that is in them, after asking."""
    administration, place = _administration()
    names = " and ".join(table.name for table in TABLES)
    if not yes:
        click.confirm(f"Delete {names} at {place}, with everything in them?", abort=True)
    for table in TABLES:
        click.echo(f"deleted {table.name}" if administration.delete(table) else f"{table.name} was not there")


def _keys(description: dict[str, Any] | Any) -> str:
    return ", ".join(key["AttributeName"] for key in description["KeySchema"])


def _show_specs(found: Sequence[TSpecInfo], *, as_json: bool) -> None:
    _show([dict(spec) for spec in found], _SPEC_COLUMNS, as_json=as_json)


def _show(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    grid = Grid(*columns)
    for row in rows:
        grid.add_row(*(_cell(column, row.get(column)) for column in columns))
    Console().print(grid if rows else "none")


def _cell(column: str, value: object) -> str | Text:
    if column == "updated_at" and isinstance(value, int):
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(value))
    return "" if value is None else _printable(str(value))


def _printable(text: str) -> Text:
    """Returns text that neither the terminal nor rich takes for a command."""
    return Text("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text))
