"""The ``package-database`` command (extra ``cli``)."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command."""
    try:
        from .commands import commands
    except ModuleNotFoundError as error:
        sys.exit(
            f"package-database needs {error.name}, which is not installed: "
            "pip install 'open-alchemy.package-database[cli]'"
        )
    commands(prog_name="package-database")
