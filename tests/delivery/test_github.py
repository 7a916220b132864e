"""The GitHub release and the issue of the daily test, with a fake of GitHub's command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from delivery import daily_report, github_release
from delivery.project import Project

URL = "https://github.com/o/r/actions/runs/7"

# Appends its arguments and standard input to calls.jsonl, and exits with the code of the file next to it.
FAKE_GH = """#!{python}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
text = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read() if "--notes-file=-" in sys.argv else ""
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps([*sys.argv[1:], text]) + "\\n")
print((folder / "output").read_text(), end="")
sys.exit(int((folder / "view").read_text()) if "view" in sys.argv else 0)
"""


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    command = tmp_path / "gh"
    command.write_text(FAKE_GH.format(python=sys.executable), encoding="utf-8")
    command.chmod(0o755)
    (tmp_path / "view").write_text("1", encoding="utf-8")
    (tmp_path / "output").write_text("[]", encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("GITHUB_SHA", "c0ffee")
    monkeypatch.setenv("RUN_URL", URL)
    monkeypatch.setattr(github_release, "configured", lambda: Project("p", "5.0.0"))
    monkeypatch.setattr(github_release, "release_notes", lambda version: f"Notes of {version}")
    return tmp_path


def calls(gh: Path) -> list[Any]:
    return [json.loads(line) for line in (gh / "calls.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_release_has_the_tag_the_commit_the_notes_and_the_files(gh: Path) -> None:
    code = github_release.main(["dist/a.whl"])

    assert code == 0
    assert calls(gh)[1:] == [
        [
            *["release", "create", "v5.0.0", "dist/a.whl", "--target=c0ffee", "--title=5.0.0", "--notes-file=-"],
            "Notes of 5.0.0",
        ]
    ]


def test_an_existing_release_is_not_changed(gh: Path) -> None:
    (gh / "view").write_text("0", encoding="utf-8")

    code = github_release.main(["dist/a.whl"])

    assert code == 0
    assert [call[:2] for call in calls(gh)] == [["release", "view"]]


def test_a_first_failure_opens_an_issue(gh: Path) -> None:
    daily_report.main(["failure"])

    assert [call[:2] for call in calls(gh)] == [["issue", "list"], ["label", "create"], ["issue", "create"]]
    assert f"--label={daily_report.LABEL}" in calls(gh)[2]


def test_a_further_failure_comments_on_the_open_issue() -> None:
    assert daily_report.commands("failure", [4], URL) == [
        ["issue", "comment", "4", f"--body=Failed again (failure): {URL}"]
    ]


def test_a_success_closes_every_open_issue(gh: Path) -> None:
    (gh / "output").write_text('[{"number": 4}, {"number": 5}]', encoding="utf-8")

    daily_report.main(["success"])

    assert [call[:3] for call in calls(gh)[1:]] == [["issue", "close", "4"], ["issue", "close", "5"]]


def test_a_success_without_an_open_issue_changes_nothing() -> None:
    assert daily_report.commands("success", [], URL) == []
