"""The commands ``export`` and ``import``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..admin.export_reader import ExportFile, open_export, open_export_stream
from ..admin.export_writer import ExportBody, Part, open_body, open_part, pages
from ..admin.import_batches import Imported, import_entries
from ..admin.import_items import Outcome
from ..admin.table_client import AdminClient
from ..instances import api
from ..model.schema import TABLES
from ..model.validation import check
from .command_group import InterruptedCommandError, ReadingCommand, StoreCommand, require_persistent
from .openapi import STDIN
from .output import count_of, format_time, print_message, printable, progress, report_write_errors

STDOUT = STDIN

_NOT_IDENTIFIED = "DescribeTable is refused, so the tables cannot be identified"


@click.command("export", cls=ReadingCommand)
@click.argument("what", nargs=-1, required=True, metavar="[SUB] FILE")
@click.option("--all", "is_all", is_flag=True, help="Export the items of all users.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def export_command(what: tuple[str, ...], *, is_all: bool, force: bool) -> None:
    """Write the items of the user SUB, or of all users, to FILE; - is standard output.

    The format is JSON Lines, compressed with gzip if FILE ends in .gz. Secret key hashes and salts are exported
    too; only the owner of FILE may read it. Run the same command again to resume an interrupted export.
    """
    if len(what) != (1 if is_all else 2):
        raise click.UsageError("expected SUB FILE, or --all FILE")
    sub = None if is_all else what[0]
    if sub is not None:
        check({"sub": sub})
    file = Path(what[-1])
    client = AdminClient.configured()
    if file == STDOUT:
        with report_write_errors(file), open_body(sub) as body:
            _read_items(body, client, sub)
            body.write_export(sys.stdout.buffer)
    else:
        body = _export_file(client, file, sub, force=force)
        if body.has_secrets:
            print_message(f"warning: {file} contains secret key hashes and salts; store it securely")
    print_message(f"exported {count_of(body.items, 'item')} of {'all users' if is_all else sub} from {client.location}")


def _export_file(client: AdminClient, file: Path, sub: str | None, *, force: bool) -> Part:
    identity = client.identity(TABLES, "TableArn", "TableId")
    with report_write_errors(file), open_part(file, sub, identity, replace=force) as part:
        if part.items:
            items = count_of(part.items, "item")
            print_message(f"resuming after {items} in {file}.part of {format_time(part.written)}")
        try:
            _read_items(part, client, sub)
            part.finish(file)
        except BaseException as error:
            if not part.items:
                raise
            continuation = "resumes after them" if part.is_resumable else f"starts again: {_NOT_IDENTIFIED}"
            message = f"interrupted: {file}.part has {count_of(part.items, 'item')}; the same command {continuation}"
            if isinstance(error, KeyboardInterrupt):
                raise InterruptedCommandError(printable(message)) from None
            print_message(message)
            raise
    return part


def _read_items(body: ExportBody, client: AdminClient, sub: str | None) -> None:
    with progress("exporting", client.expected_items(TABLES) if sub is None else None) as advance:
        advance(body.items)
        for entries in pages(client.read, sub, body.last):
            body.add(entries)
            advance(len(entries))


@click.command("import", cls=StoreCommand)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
def import_command(file: Path) -> None:
    """Add the items of the export FILE to the store; - is standard input.

    The whole file is verified first. Stored items are not changed. The exit code is 1 if a different item is stored
    under the key of an item. The command can be repeated, also after an interruption.
    """
    require_persistent(api.current().config)
    client = AdminClient.configured()
    opened = open_export_stream(sys.stdin.buffer) if file == STDIN else open_export(file)
    with opened as export:
        _import(export, client)


def _import(export: ExportFile, client: AdminClient) -> None:
    with progress("verifying", export.header().items) as advance:
        header = export.verify(advance)
    try:
        with progress("importing", header.items) as advance:
            imported = import_entries(export.entries(), lambda steps: client.run(steps, name="an import"), advance)
    except KeyboardInterrupt:
        raise InterruptedCommandError("interrupted: run the same command to import the rest") from None
    report(imported, client.location, "the file")


def report(imported: Imported, target: str, source: str) -> None:
    """Prints the outcomes of an import.

    Args:
        imported: The outcomes.
        target: The location of the store.
        source: The origin of the items, for messages.

    Raises:
        ClickException: A different item is stored under the key of an item.
    """
    outcomes = ", ".join(f"{number} {outcome.value}" for outcome, number in imported.counts.items())
    print_message(f"{target}: {sum(imported.counts.values())} versions and credentials: {outcomes}")
    for entry in imported.kept:
        key = ", ".join(f"{name} {value!r}" for name, value in entry.key.items())
        item = f"the item of {entry.table.name} with {key}"
        print_message(f"not imported from {source}: {item}: the stored item with its key or public key differs")
    kept = imported.counts[Outcome.KEPT]
    if kept:
        raise click.ClickException(f"{count_of(kept, 'item')} not imported: the store has different items")
