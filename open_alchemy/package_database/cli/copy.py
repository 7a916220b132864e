"""The command ``copy``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import click

from ..admin.checksums import StoreChecksum, compute, differences, entries
from ..admin.import_batches import import_entries
from ..admin.table_client import AdminClient
from ..database import open_database
from ..engines import registry
from ..engines.port import Config
from ..engines.sqlite.config import SQLiteConfig
from ..exceptions import BaseError, ValidationError
from ..instances import api
from ..model.schema import TABLES
from .command_group import InterruptedCommandError, instance_option, require_persistent
from .export_import import report
from .output import print_message, progress

_INTERRUPTED = "interrupted: run the same command to copy the rest"


class _Store(NamedTuple):
    """A store, and its name in messages."""

    name: str
    config: Config


@click.command("copy", cls=click.Command)  # It works on two stores, so it has no option --url.
@click.argument("urls", metavar="[FROM_URL] [TO_URL]", nargs=-1)
def copy_command(urls: tuple[str, ...], instance: str | None, to_instance: str | None) -> None:
    """Add all items at FROM_URL to TO_URL, and verify that both stores are equal.

    --instance replaces FROM_URL, and --to-instance replaces TO_URL.

    Items at TO_URL are not changed. The exit code is 1 if a different item is stored under the key of an item, or if
    the stores differ at the end. The command can be repeated, also after an interruption.
    """
    if len(urls) + (instance is not None) + (to_instance is not None) != 2:  # noqa: PLR2004 (the two stores)
        raise click.UsageError("expected FROM_URL or --instance, and TO_URL or --to-instance")
    remaining = iter(urls)
    source = _find("FROM_URL", remaining, instance)
    target = _find("TO_URL", remaining, to_instance)
    require_persistent(target.config, target.name)
    if _is_same_store(source.config, target.config):
        raise ValidationError(f"{source.name} and {target.name} are the same store: {source.config.location}")
    with (
        open_database(source.config.open_engine(TABLES)) as source_database,
        open_database(target.config.open_engine(TABLES)) as target_database,
    ):
        try:
            _copy(AdminClient(source_database), AdminClient(target_database), source.name, target.name)
        except KeyboardInterrupt:
            raise InterruptedCommandError(_INTERRUPTED) from None


copy_command.params += [instance_option("--instance", "Copy from"), instance_option("--to-instance", "Copy to")]


def _find(argument: str, urls: Iterator[str], instance: str | None) -> _Store:
    """Returns the store of an instance, or else of the next URL, which the argument names."""
    if instance is not None:
        return _Store(f"the instance {instance}", api.directory().get(instance).config)
    return _Store(argument, registry.from_url(next(urls), os.environ, source=argument))


def _copy(source: AdminClient, target: AdminClient, source_name: str, target_name: str) -> None:
    source.check_tables()
    try:
        with progress("copying", source.expected_items(TABLES)) as advance:
            imported = import_entries(entries(source.read), lambda steps: target.run(steps, name="an import"), advance)
        report(imported, target.location, source.location)
        source_checksum, target_checksum = _compute(source, source_name), _compute(target, target_name)
    except BaseError:
        print_message(_INTERRUPTED)
        raise
    _compare(source_checksum, target_checksum, source_name, target_name)


def _compute(client: AdminClient, name: str) -> StoreChecksum:
    with progress(f"verifying {name}", client.expected_items(TABLES)) as advance:
        return compute(client.read, advance)


def _compare(source: StoreChecksum, target: StoreChecksum, source_name: str, target_name: str) -> None:
    """Prints the differences of two stores, or their checksum; raises ``ClickException`` if they differ."""
    found = differences(source, target)
    for difference in found:
        print_message(f"{source_name} and {target_name} differ: {difference}")
    if found:
        raise click.ClickException(
            f"the stores differ: {target_name} had other items before, or one of them was written to during the copy;\n"
            "stop the writers, and copy again"
        )
    print_message(f"verified: {target}")


def _is_same_store(source: Config, target: Config) -> bool:
    match source, target:
        case SQLiteConfig(path=first), SQLiteConfig(path=second) if first and second:
            return first == second or (first.exists() and second.exists() and first.samefile(second))
    return source == target
