"""The base of all commands: the options ``--url`` and ``--instance``, error messages in one line, and exit codes."""

from __future__ import annotations

import os
from typing import Any

import click

from ..engines import registry
from ..engines.port import Config
from ..engines.sqlite.config import SQLiteConfig
from ..exceptions import BaseError, ConfigurationError, RefusedError, ValidationError
from ..instances import api
from ..instances.instance import Instance
from .output import printable
from .yaml_json import DocumentError


class _WrongInputError(click.ClickException):
    exit_code = 2


class InterruptedCommandError(click.ClickException):
    """Ctrl-C was pressed; the message describes how to continue."""

    exit_code = 130

    def show(self, file: Any = None) -> None:
        """Prints the message to stderr."""
        click.echo(self.format_message(), file=file, err=True)


def require_existing(config: Config) -> None:
    """Checks that a SQLite file exists, because opening a missing file creates it.

    Raises:
        RefusedError: It does not exist.
    """
    if isinstance(config, SQLiteConfig) and config.path is not None and not config.path.exists():
        raise RefusedError(f"the file {config.path} does not exist")


def require_persistent(config: Config, option: str = "--url") -> None:
    """Checks that a store outlives the command, before a command that writes to it.

    Raises:
        ConfigurationError: It is SQLite in memory.
    """
    # A named database in memory is the one of the pytest plugin, which outlives commands in its process.
    if isinstance(config, SQLiteConfig) and config.path is None and not config.memory:
        raise ConfigurationError(f"{option} is sqlite://, which is in memory and ends with this command")


class StoreCommand(click.Command):
    """A command on the store of its option ``--url`` or ``--instance``, or on the store of the environment."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += store_options()

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command on the selected store."""
        select_store(ctx)
        return self.invoke_selected(ctx)

    def invoke_selected(self, ctx: click.Context) -> Any:
        """Runs the command, when its store is selected."""
        return super().invoke(ctx)


def store_options() -> list[click.Parameter]:
    """Returns the options ``--url`` and ``--instance``."""
    url_help = "The URL of the store, such as sqlite:///a.db. Takes precedence over the environment."
    return [click.Option(["--url"], help=url_help), instance_option("--instance", "The store")]


def select_store(context: click.Context) -> None:
    """Uses the store of the options until the end of a command."""
    url, instance = context.params.pop("url"), context.params.pop("instance")
    if url is not None and instance is not None:
        raise click.UsageError("expected --url or --instance, not both")
    if url is not None:
        context.with_resource(api.use(Instance(registry.from_url(url, os.environ))))
    if instance is not None:
        context.with_resource(api.instance(instance))


def instance_option(name: str, store: str) -> click.Option:
    """Returns an option that takes the id of an instance."""
    return click.Option([name], metavar="ID", help=f"{store}: an instance of the file PACKAGE_DATABASE_INSTANCES.")


class ReadingCommand(StoreCommand):
    """A command that requires an existing store, so it never creates a SQLite file."""

    def invoke_selected(self, ctx: click.Context) -> Any:
        """Runs the command if the store exists."""
        require_existing(api.current().config)
        return super().invoke_selected(ctx)


class Commands(click.Group):
    """Commands on a store."""

    command_class = StoreCommand
    group_class = type

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command, and prints an expected error as a message; the exit code is 2 if the input is wrong."""
        try:
            return super().invoke(ctx)
        except click.Abort as error:
            # click raises it for Ctrl-C at a prompt too.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise InterruptedCommandError("interrupted") from None
            raise
        except KeyboardInterrupt:
            raise InterruptedCommandError("interrupted") from None
        except (BaseError, DocumentError) as error:
            is_wrong_input = isinstance(error, ConfigurationError | ValidationError | DocumentError)
            wrapper = _WrongInputError if is_wrong_input else click.ClickException
            raise wrapper(_escape_lines(str(error))) from error


def _escape_lines(message: str) -> str:
    """Escapes control characters in each line."""
    return "\n".join(map(printable, message.split("\n")))
