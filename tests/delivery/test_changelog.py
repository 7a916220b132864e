"""A release has a dated heading and notes in the changelog."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.changelog import ChangelogError, release_notes

CHANGELOG = """# Changelog

## [Unreleased]

## [5.1.0] - 2026-11-30

### Added

- A function.

## [5.0.0] - 2026-11-22

- Everything.
"""


def write(folder: Path, text: str) -> Path:
    (folder / "CHANGELOG.md").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("version", "notes"), [("5.1.0", "### Added\n\n- A function."), ("5.0.0", "- Everything.")], ids=["first", "last"]
)
def test_the_notes_are_those_under_the_heading(tmp_path: Path, version: str, notes: str) -> None:
    assert release_notes(version, write(tmp_path, CHANGELOG)) == notes


@pytest.mark.parametrize(
    "heading",
    ["## [Unreleased]", "## [5.2.0]", "## [5.2.0] - unreleased", "## [5.2.0] - 2026-13-01", "## [5x2.0] - 2026-11-22"],
)
def test_a_version_without_a_dated_heading_is_refused(tmp_path: Path, heading: str) -> None:
    root = write(tmp_path, f"# Changelog\n\n{heading}\n\n- A change.\n")

    with pytest.raises(ChangelogError, match=r"expected the heading '## \[5.2.0\] - YYYY-MM-DD'"):
        release_notes("5.2.0", root)


def test_a_heading_without_notes_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path, "## [5.2.0] - 2026-11-22\n\n## [5.1.0] - 2026-11-21\n\n- A change.\n")

    with pytest.raises(ChangelogError, match=r"expected notes under the heading of 5.2.0"):
        release_notes("5.2.0", root)
