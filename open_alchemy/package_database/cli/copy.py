"""The command ``copy``."""

from __future__ import annotations

import os

import click

from ..admin.checksums import StoreChecksum, compute, differences, entries
from ..admin.client import AdminClient
from ..admin.import_batches import import_entries
from ..database import open_database
from ..engines import registry
from ..engines.port import Config
from ..engines.sqlite.config import SQLiteConfig
from ..exceptions import BaseError, ValidationError
from ..model.schema import TABLES
from .command_group import InterruptedCommandError
from .export_import import report
from .output import print_message, progress

_INTERRUPTED = "interrupted: run the same command to copy the rest"


@click.command("copy", cls=click.Command)  # It takes two URLs as arguments, so it has no option --url.
@click.argument("source_url", metavar="FROM_URL")
@click.argument("target_url", metavar="TO_URL")
def copy_command(source_url: str, target_url: str) -> None:
    """Add all items at FROM_URL to TO_URL, and verify that both stores are equal.

    Items at TO_URL are not changed. The exit code is 1 if a different item is stored under the key of an item, or if
    the stores differ at the end. The command can be repeated, also after an interruption.
    """
    source_config = registry.from_url(source_url, os.environ, source="FROM_URL")
    target_config = registry.from_url(target_url, os.environ, source="TO_URL")
    if _is_same_store(source_config, target_config):
        raise ValidationError(f"FROM_URL and TO_URL are the same store: {source_config.location}")
    with (
        open_database(source_config.open_engine(TABLES)) as source,
        open_database(target_config.open_engine(TABLES)) as target,
    ):
        try:
            _copy(AdminClient(source), AdminClient(target))
        except KeyboardInterrupt:
            raise InterruptedCommandError(_INTERRUPTED) from None


def _copy(source: AdminClient, target: AdminClient) -> None:
    source.check_tables()
    try:
        with progress("copying", source.expected_items(TABLES)) as advance:
            imported = import_entries(entries(source.read), lambda steps: target.run(steps, name="an import"), advance)
        report(imported, f"copied from {source.location} to {target.location}", source.location)
        checksums = [_compute(source, "FROM_URL"), _compute(target, "TO_URL")]
    except BaseError:
        print_message(_INTERRUPTED)
        raise
    _compare(*checksums)


def _compute(client: AdminClient, name: str) -> StoreChecksum:
    with progress(f"verifying {name}", client.expected_items(TABLES)) as advance:
        return compute(client.read, advance)


def _compare(source: StoreChecksum, target: StoreChecksum) -> None:
    """Prints the differences of two stores, or their checksum; raises ``ClickException`` if they differ."""
    found = differences(source, target)
    for difference in found:
        print_message(f"FROM_URL and TO_URL differ: {difference}")
    if found:
        raise click.ClickException(
            "the stores differ: TO_URL had other items before, or one of them was written to during the copy;\n"
            "stop the writers, and copy again"
        )
    print_message(f"verified: {target}")


def _is_same_store(source: Config, target: Config) -> bool:
    match source, target:
        case SQLiteConfig(path=first), SQLiteConfig(path=second) if first and second:
            return first == second or (first.exists() and second.exists() and first.samefile(second))
    return source == target
