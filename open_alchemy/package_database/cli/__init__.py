"""The ``package-database`` command (extra ``cli``)."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def main() -> None:
    """Runs the command."""
    try:
        from .commands import commands
    except ModuleNotFoundError as error:
        sys.exit(
            f"package-database needs {error.name}, which is not installed: "
            "pip install 'open-alchemy.package-database[cli]'"
        )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that is not UTF-8 shows \xe9 for é instead of a traceback.
            stream.reconfigure(errors="backslashreplace")
    commands(prog_name="package-database")
