"""Decides whether the configured version must be released, which is the case if PyPI does not have it.

    scripts/release-required [--index-url URL]

prints ``result=true`` or ``result=false`` and ``project-version=``, and appends both to the file that ``GITHUB_OUTPUT``
names. The exit code is 1 if PyPI cannot be read (a wrong ``false`` would skip a release), or if a release is required
and ``CHANGELOG.md`` has no dated heading for it.

A yanked version counts as released: PyPI accepts no file name twice (pypi.org/help/#file-name-reuse).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.utils import canonicalize_version

from .changelog import ChangelogError, release_notes
from .index import IndexUnreadableError, released_versions
from .project import PYPI, configured


def is_required(version: str, released: Iterable[str]) -> bool:
    """Returns whether a version is not among the released ones; 5.0 and 5.0.0 are one version."""
    return canonicalize_version(version) not in {canonicalize_version(other) for other in released}


def main(arguments: Sequence[str]) -> int:
    """Prints and writes the outputs, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/release-required", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--index-url", default=PYPI, help="the simple API of an index other than PyPI")
    index_url = parser.parse_args(arguments).index_url
    project = configured()
    try:
        required = is_required(project.version, released_versions(project.name, index_url=index_url))
        if required:
            release_notes(project.version)
    except (IndexUnreadableError, ChangelogError) as error:
        print(error, file=sys.stderr)
        return 1
    outputs = f"result={str(required).lower()}\nproject-version={project.version}\n"
    print(outputs, end="")
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(outputs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
