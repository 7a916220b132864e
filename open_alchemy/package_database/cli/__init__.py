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
    except KeyboardInterrupt:
        print("Error: interrupted", file=sys.stderr)  # noqa: T201 (click may not be imported)
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Escapes characters that the encoding of the stream does not have.
            stream.reconfigure(errors="backslashreplace")
    commands(prog_name="package-database")
