"""Reads the versions of a project from a package index, in JSON (PEP 691, PEP 700)."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from packaging.utils import canonicalize_name

from .project import PYPI

_TIMEOUT_SECONDS: Final = 30


class IndexUnreadableError(Exception):
    """The index did not return the versions of a project."""


def released_versions(name: str, *, index_url: str = PYPI) -> list[str]:
    """Returns all versions of a project on an index, yanked ones included (PEP 592); none for an unknown project.

    Raises:
        IndexUnreadableError: The index cannot be reached, or its response is invalid.
    """
    url = f"{index_url.rstrip('/')}/{canonicalize_name(name)}/"
    try:
        versions = json.loads(_get(url))["versions"]
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return []
        raise IndexUnreadableError(f"{url}: HTTP status {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise IndexUnreadableError(f"{url}: no response: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise IndexUnreadableError(f"{url}: expected a project's page (PEP 700): {error!r}") from error
    if not isinstance(versions, list) or not all(isinstance(version, str) for version in versions):
        raise IndexUnreadableError(f"{url}: expected versions as a list of strings: {versions!r:.100}")
    return versions


def _get(url: str) -> bytes:
    request = Request(url, headers={"Accept": "application/vnd.pypi.simple.v1+json"})  # noqa: S310 - the caller's URL
    with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        content: bytes = response.read()
    return content
