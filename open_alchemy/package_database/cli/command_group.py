"""What all commands have: the option ``--url``, and the package's errors in one line."""

from __future__ import annotations

import os
from typing import Any

import click

from .. import instances
from ..engines import registry
from ..exceptions import BaseError, ConfigurationError, ValidationError
from .openapi import DocumentError


class _WrongInputError(click.ClickException):
    exit_code = 2


def _use(context: click.Context, _: click.Parameter, url: str | None) -> None:
    if url is not None:
        config = registry.from_url(url, os.environ)
        context.with_resource(instances.use(instances.Instance(config)))


class UrlCommand(click.Command):
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


class Commands(click.Group):
    """Commands on a store."""

    command_class = UrlCommand
    group_class = type

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; an error of the package is told in one line, wrong input with an exit code of its own."""
        try:
            return super().invoke(ctx)
        except (BaseError, DocumentError) as error:
            is_wrong_input = isinstance(error, ConfigurationError | ValidationError | DocumentError)
            raise (_WrongInputError if is_wrong_input else click.ClickException)(str(error)) from error
