"""Runs the command as ``python -m open_alchemy.package_database.cli``."""

from . import main

main()
