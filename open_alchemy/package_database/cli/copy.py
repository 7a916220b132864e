"""The command copy."""

from __future__ import annotations

import os

import click

from ..admin.checksums import Contents, differences, entries, take
from ..admin.client import Store
from ..admin.import_export import import_entries
from ..database import open_database
from ..engines import registry
from ..engines.port import Config
from ..engines.sqlite.config import SQLiteConfig
from ..exceptions import BaseError, ValidationError
from ..model.schema import TABLES
from .export import report
from .output import progress, say


@click.command("copy", cls=click.Command)  # It takes two stores, and none of the environment's.
@click.argument("source_url", metavar="FROM_URL")
@click.argument("target_url", metavar="TO_URL")
def copy_command(source_url: str, target_url: str) -> None:
    """Add all that is stored at FROM_URL to what is stored at TO_URL, and verify that both hold the same.

    What is at TO_URL already stays: exit with 1 where something else is in the place of an item, or where the stores
    differ in the end. Safe to repeat, also after an interruption: what was copied is not written again.
    """
    source_config = registry.from_url(source_url, os.environ, source="FROM_URL")
    target_config = registry.from_url(target_url, os.environ, source="TO_URL")
    if _is_one_store(source_config, target_config):
        raise ValidationError(f"FROM_URL and TO_URL are one store: {source_config.location}")
    with (
        open_database(source_config.open_engine(TABLES)) as source,
        open_database(target_config.open_engine(TABLES)) as target,
    ):
        _copy(Store(source), Store(target))


def _copy(source: Store, target: Store) -> None:
    source.check_tables()
    try:
        with progress("copying", source.expected_items(TABLES)) as advance:
            imported = import_entries(entries(source.read), lambda steps: target.run(steps, name="an import"), advance)
        report(imported, f"copied from {source.place} to {target.place}", source.place)
        contents = [_take(source, "FROM_URL"), _take(target, "TO_URL")]
    except (KeyboardInterrupt, BaseError):
        say("interrupted: the same command goes on, and writes nothing again")
        raise
    _compare(contents[0], contents[1])


def _take(store: Store, name: str) -> Contents:
    with progress(f"verifying {name}", store.expected_items(TABLES)) as advance:
        return take(store.read, store.get, advance)


def _compare(source: Contents, target: Contents) -> None:
    """Says what both hold; raises ``ClickException`` where they differ."""
    found = differences(source, target)
    for difference in found:
        say(f"FROM_URL and TO_URL differ: {difference}")
    if found:
        raise click.ClickException(
            "the stores differ: one held more before or was written to meanwhile; stop the writers, and copy again"
        )
    say(f"verified: both hold versions of specs: {target.versions}; credentials: {target.credentials}")


def _is_one_store(source: Config, target: Config) -> bool:
    match source, target:
        case SQLiteConfig(path=first), SQLiteConfig(path=second) if first and second:
            return first == second or (first.exists() and second.exists() and first.samefile(second))
    return source == target
