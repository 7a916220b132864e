"""Prints results to stdout and messages to stderr, with control characters of stored or imported text escaped."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PROGRESS_AFTER_SECONDS = 1.0

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Prints rows to stdout: as JSON, as aligned columns on a terminal, otherwise as tab-separated lines.

    No value is shortened. Tab-separated lines have no header, so that every line is a row.
    """
    if as_json:
        print_json(rows)
        return
    cells = [[_cell(column, row.get(column)) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        lines = ["\t".join(row) for row in cells]
    elif cells:
        lines = _align([[column.replace("_", " ") for column in columns], *cells])
    else:
        lines = ["none"]
    for line in lines:
        click.echo(line)


def print_json(value: object) -> None:
    """Prints a value to stdout as JSON in which every unprintable character is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text))


def print_message(message: str) -> None:
    """Prints a line to stderr."""
    click.echo(printable(message), err=True)


def printable(text: str) -> str:
    """Returns text with unprintable characters escaped, such as control characters."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def count_of(number: int, noun: str) -> str:
    """Returns a number with its noun, such as ``1 model`` and ``2 models``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on stderr if that is a terminal and the operation takes longer than a second.

    Yields a function to call with the number of items that were processed since its last call.

    Args:
        what: The operation.
        total: The number of items; None if it is unknown.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=console)
    task = bar.add_task(what, total=total)
    start, is_shown = time.monotonic(), False

    def advance(count: int) -> None:
        nonlocal is_shown
        bar.advance(task, count)
        if not is_shown and console.is_terminal and time.monotonic() - start >= PROGRESS_AFTER_SECONDS:
            is_shown = True
            bar.start()

    try:
        yield advance
    finally:
        if is_shown:
            bar.stop()


@contextmanager
def report_write_errors(file: Path) -> Iterator[None]:
    """Reports an ``OSError``, such as a full disk, as a message without a traceback."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(printable(f"{file} cannot be written: {error.strerror}")) from error


def format_time(seconds: float) -> str:
    """Returns seconds since the epoch as a date and time in UTC, or as a number if the year is not in 1 to 9999."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return str(seconds)


def _cell(column: str, value: object) -> str:
    if column == "updated_at" and isinstance(value, int):
        return format_time(value)
    return "" if value is None else printable(str(value))


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns rows as lines with aligned columns; wide characters count as two cells."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
