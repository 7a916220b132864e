"""Printing for people and for programs: what is asked for on stdout, words about it on stderr."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as Grid
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def show(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Prints rows on stdout, as JSON or as a table with these columns."""
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    grid = Grid(*columns)
    for row in rows:
        grid.add_row(*(_cell(column, row.get(column)) for column in columns))
    Console().print(grid if rows else "none")


def say(words: str) -> None:
    """Prints a line on stderr."""
    click.echo(printable(words), err=True)


def printable(text: str) -> str:
    """Returns text that the terminal does not take for a command."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on stderr while the context is open, only on a terminal.

    Gives the function that is told how many more items are done.

    Args:
        what: What is going on.
        total: How many items there are; None where nobody knows.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def telling_os_errors(file: Path) -> Iterator[None]:
    """Tells in one line that a file cannot be written, such as to a full disk."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error


def moment(seconds: float) -> str:
    """Returns seconds since the epoch as a date and a time."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def _cell(column: str, value: object) -> str | Text:
    if column == "updated_at" and isinstance(value, int):
        return moment(value)
    # Text, so that rich takes no name for its markup.
    return "" if value is None else Text(printable(str(value)))
