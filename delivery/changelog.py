"""Reads the notes of a release from ``CHANGELOG.md``, which follows Keep a Changelog."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from .project import ROOT


class ChangelogError(Exception):
    """The changelog is not ready for the release."""


def release_notes(version: str, root: Path = ROOT) -> str:
    """Returns the notes under the heading ``## [VERSION] - YYYY-MM-DD``.

    Raises:
        ChangelogError: There is no such heading with a valid date, or nothing follows it.
    """
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(rf"^## \[{re.escape(version)}\](.*)\n((?:(?!## ).*\n?)*)", text, re.MULTILINE)
    if section is None or not _is_dated(section[1]):
        raise ChangelogError(f"CHANGELOG.md: expected the heading '## [{version}] - YYYY-MM-DD'")
    if not (notes := section[2].strip()):
        raise ChangelogError(f"CHANGELOG.md: expected notes under the heading of {version}")
    return notes


def _is_dated(heading: str) -> bool:
    dated = re.fullmatch(r" - (\d{4}-\d{2}-\d{2})", heading)
    try:
        return dated is not None and bool(date.fromisoformat(dated[1]))
    except ValueError:
        return False
