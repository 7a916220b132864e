"""The commands export and import."""

from __future__ import annotations

from pathlib import Path

import click

from ..admin.client import Store
from ..admin.export_reader import open_export
from ..admin.export_writer import Part, open_part, pages
from ..admin.import_export import Imported, import_entries
from ..admin.import_items import Outcome
from ..model.schema import TABLES
from ..model.validation import check
from .command_group import UrlCommand
from .output import moment, progress, say, telling_os_errors


@click.command("export", cls=UrlCommand)
@click.argument("what", nargs=-1, required=True, metavar="[SUB] FILE")
@click.option("--all", "is_all", is_flag=True, help="Export the items of all users.")
@click.option("--force", is_flag=True, help="Replace FILE where it is there already.")
def export_command(what: tuple[str, ...], *, is_all: bool, force: bool) -> None:
    """Write the items of the user SUB, or of all users, to FILE.

    They are JSON Lines, in gzip where FILE ends in .gz. FILE holds secret key hashes and salts, so only its owner may
    read it. An export that was interrupted goes on where it was when it is started again.
    """
    if len(what) != (1 if is_all else 2):
        raise click.UsageError("say what to export: SUB FILE, or --all FILE")
    sub = None if is_all else what[0]
    if sub is not None:
        check({"sub": sub})
    file = Path(what[-1])
    store = Store.configured()
    identity = store.identity(TABLES, "TableArn", "TableId")
    if identity is None:
        say("DescribeTable is refused, so whose tables these are cannot be told: an interrupted export begins anew")
    with telling_os_errors(file), open_part(file, sub, identity, replace=force) as part:
        _write(part, store, file, sub)
    say(f"exported {part.items} items of {'all users' if is_all else sub} from {store.place} to {file}")
    say(f"warning: {file} holds secret key hashes and salts: keep it as safe as the tables")


def _write(part: Part, store: Store, file: Path, sub: str | None) -> None:
    if part.items:
        say(
            f"goes on after the {part.items} items that an interrupted export wrote to {file}.part until "
            f"{moment(part.written)}; to begin anew, delete that file first"
        )
    try:
        with progress("exporting", store.expected_items(TABLES) if sub is None else None) as advance:
            advance(part.items)
            for entries in pages(store.read, sub, part.last):
                part.add(entries)
                advance(len(entries))
        part.finish(file)
    except BaseException:
        say(
            f"interrupted: {file}.part holds {part.items} items; the same command "
            f"{'goes on after them' if part.is_resumable else 'begins anew'}"
        )
        raise


@click.command("import", cls=UrlCommand)
@click.argument("file", type=click.Path(path_type=Path))
def import_command(file: Path) -> None:
    """Add the items of FILE, an export, to what is stored.

    The whole file is verified first. What is there already stays: exit with 1 where something else is in the place of
    an item. Safe to repeat, also after an interruption.
    """
    store = Store.configured()
    with open_export(file) as export:
        with progress("verifying", export.header().items) as advance:
            header = export.verify(advance)
        with progress("importing", header.items) as advance:
            imported = import_entries(export.entries(), lambda steps: store.run(steps, name="an import"), advance)
    report(imported, f"imported {header.items} items to {store.place}", "the file")


def report(imported: Imported, what: str, source: str) -> None:
    """Says what was added and what was kept.

    Args:
        imported: What it came to.
        what: What was done, in words.
        source: What the items come from, in words.

    Raises:
        ClickException: Something was kept.
    """
    counts = ", ".join(f"{count} {outcome.value}" for outcome, count in imported.counts.items())
    say(f"{what}; versions of specs and credentials: {counts}")
    for entry in imported.kept:
        key = ", ".join(f"{name} {value!r}" for name, value in entry.key.items())
        say(f"kept what is stored of {entry.table.name} with {key}: it is not what {source} holds")
    kept = imported.counts[Outcome.KEPT]
    if kept:
        raise click.ClickException(f"{kept} were not imported: the store holds something else in their place")
