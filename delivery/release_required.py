"""Says whether the configured version must be released: whether it is not on PyPI yet.

    scripts/release-required [--index-url URL]

prints ``result=true`` or ``result=false``, and ``project-version=``, and adds both to the file that ``GITHUB_OUTPUT``
names. What PyPI cannot be asked is an error with exit code 1, never a guess: a wrong "no" would skip a release
without a word.

The question is asked of the index API, in JSON, as pip asks it (PEP 691). Its ``versions`` (PEP 700) are all that
were ever uploaded and not deleted, yanked ones among them (PEP 592): such a version is taken, because PyPI accepts no
file name twice (pypi.org/help/#file-name-reuse). The key ``releases`` of PyPI's older JSON API says the same, and is
deprecated (docs.pypi.org/api/json).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from packaging.utils import canonicalize_name, canonicalize_version

from .project import PYPI, Project, configured

_TIMEOUT_SECONDS: Final = 30


class IndexUnreadableError(Exception):
    """The index did not say which versions it has."""


def is_required(version: str, released: Iterable[str]) -> bool:
    """Returns whether a version is not among the released ones.

    5.0 and 5.0.0 are one version (the version specifiers of packaging.python.org). A newer one that is released is no
    obstacle: 5.0.1 may follow 5.1.0.
    """
    return canonicalize_version(version) not in {canonicalize_version(other) for other in released}


def released_versions(name: str, *, index_url: str = PYPI) -> list[str]:
    """Returns all versions of a project on an index; none where it has no such project.

    Raises:
        IndexUnreadableError: The index is out of reach, or its answer cannot be read.
    """
    url = f"{index_url.rstrip('/')}/{canonicalize_name(name)}/"
    try:
        versions = json.loads(_get(url))["versions"]
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return []
        raise IndexUnreadableError(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise IndexUnreadableError(f"{url} does not answer: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise IndexUnreadableError(f"{url} answers what is no page of a project (PEP 700): {error!r}") from error
    if not isinstance(versions, list) or not all(isinstance(version, str) for version in versions):
        raise IndexUnreadableError(f"{url} answers versions that are no list of texts: {versions!r:.100}")
    return versions


def _get(url: str) -> bytes:
    request = Request(url, headers={"Accept": "application/vnd.pypi.simple.v1+json"})  # noqa: S310 - the caller's URL
    with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def outputs(project: Project, released: Sequence[str]) -> str:
    """Returns the outputs of the step, in the format of ``GITHUB_OUTPUT``."""
    result = "true" if is_required(project.version, released) else "false"
    return f"result={result}\nproject-version={project.version}\n"


def main(arguments: Sequence[str]) -> int:
    """Prints and writes the outputs, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/release-required", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--index-url", default=PYPI, help="the simple API of an index other than PyPI")
    index_url = parser.parse_args(arguments).index_url
    project = configured()
    try:
        released = released_versions(project.name, index_url=index_url)
    except IndexUnreadableError as error:
        print(error, file=sys.stderr)
        return 1
    text = outputs(project, released)
    print(text, end="")
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
