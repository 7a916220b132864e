"""A version is released once; an unreadable index or an unfinished changelog stops the release."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from delivery import index as package_index
from delivery import release_required
from delivery.changelog import ChangelogError
from delivery.project import Project
from tests.delivery.simple_index import SimpleIndex

NAME = "open-alchemy-package-database"


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "outputs"
    path.write_text("earlier=step\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_OUTPUT", str(path))
    monkeypatch.setattr(release_required, "configured", lambda: Project("open-alchemy.package-database", "5.0.0"))
    monkeypatch.setattr(release_required, "release_notes", lambda _: "notes")
    return path


def ask(index: SimpleIndex) -> int:
    return release_required.main(["--index-url", index.url])


def test_a_project_that_was_never_released_needs_a_release(index: SimpleIndex, outputs: Path) -> None:
    code = ask(index)

    assert code == 0
    assert outputs.read_text(encoding="utf-8") == "earlier=step\nresult=true\nproject-version=5.0.0\n"


@pytest.mark.parametrize(
    ("released", "result"),
    [
        pytest.param([], "true", id="none"),
        pytest.param(["4.0.0", "4.0.1"], "true", id="older"),
        pytest.param(["4.0.1", "5.0.0"], "false", id="same"),
        pytest.param(["5.0"], "false", id="same, other spelling"),
        pytest.param(["5.0.1", "6.0.0"], "true", id="newer"),
        pytest.param(["5.0.0rc1", "5.0.0.dev3"], "true", id="pre-release"),
        pytest.param(["5.0.0.post1"], "true", id="post-release"),
        pytest.param(["2004-draft"], "true", id="not a valid version"),
    ],
)
def test_a_version_that_is_not_on_the_index_needs_a_release(
    index: SimpleIndex, outputs: Path, released: list[str], result: str
) -> None:
    index.list_versions(NAME, released)

    ask(index)

    assert f"\nresult={result}\n" in outputs.read_text(encoding="utf-8")


def test_a_yanked_version_counts_as_released(index: SimpleIndex, outputs: Path) -> None:
    index.list_versions(NAME, ["5.0.0"], yanked=True)

    ask(index)

    assert "\nresult=false\n" in outputs.read_text(encoding="utf-8")


def test_a_configured_pre_release_is_a_separate_version(
    index: SimpleIndex, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_required, "configured", lambda: Project("open-alchemy.package-database", "5.1.0rc1"))
    index.list_versions(NAME, ["5.0.0", "5.1.0"])

    ask(index)

    assert "\nresult=true\nproject-version=5.1.0rc1\n" in outputs.read_text(encoding="utf-8")


def test_the_outputs_are_printed_outside_of_a_workflow(
    index: SimpleIndex, outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_OUTPUT")

    ask(index)

    assert capsys.readouterr().out == "result=true\nproject-version=5.0.0\n"
    assert outputs.read_text(encoding="utf-8") == "earlier=step\n"


def test_the_request_accepts_json(index: SimpleIndex, outputs: Path) -> None:
    ask(index)

    assert index.requests == [(f"/simple/{NAME}/", "application/vnd.pypi.simple.v1+json")]


def assert_failed(outputs: Path, capsys: pytest.CaptureFixture[str], code: int, message: str) -> None:
    printed = capsys.readouterr()
    assert code == 1
    assert printed.out == ""
    assert f"/simple/{NAME}/: {message}" in printed.err
    assert outputs.read_text(encoding="utf-8") == "earlier=step\n"


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_an_http_error_fails(
    index: SimpleIndex, outputs: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    index.answer(NAME, b"", status=status)

    code = ask(index)

    assert_failed(outputs, capsys, code, f"HTTP status {status} ")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<!DOCTYPE html>", id="HTML"),
        pytest.param(b'{"versions": ["5.0', id="truncated"),
        pytest.param(b"\xff\xfe\x00", id="not UTF-8"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"meta": {"api-version": "1.0"}, "files": []}', id="no versions"),
        pytest.param(b'{"versions": null}', id="versions null"),
        pytest.param(b'{"versions": "5.0.0"}', id="versions a string"),
        pytest.param(json.dumps({"versions": [5, 0]}).encode(), id="versions numbers"),
    ],
)
def test_an_invalid_response_fails(
    index: SimpleIndex, outputs: Path, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    index.answer(NAME, body)

    code = ask(index)

    assert_failed(outputs, capsys, code, "expected ")


def test_a_truncated_response_fails(index: SimpleIndex, outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index.list_versions(NAME, ["4.0.1"])
    index.held_back = 100

    code = ask(index)

    assert_failed(outputs, capsys, code, "no response: IncompleteRead")


def test_an_unreachable_index_fails(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    code = release_required.main(["--index-url", f"http://127.0.0.1:{port}/simple"])

    assert_failed(outputs, capsys, code, "no response: ")


def test_an_index_that_does_not_respond_fails(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_index, "_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = release_required.main(["--index-url", f"http://127.0.0.1:{silent.getsockname()[1]}/simple"])

    assert_failed(outputs, capsys, code, "no response: timed out")


def test_a_release_without_a_dated_heading_in_the_changelog_fails(
    index: SimpleIndex, outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> str:
        raise ChangelogError("no heading")

    monkeypatch.setattr(release_required, "release_notes", refuse)

    code = ask(index)

    assert (code, capsys.readouterr().err) == (1, "no heading\n")
    assert outputs.read_text(encoding="utf-8") == "earlier=step\n"


def test_the_changelog_is_not_read_if_no_release_is_required(
    index: SimpleIndex, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(release_required, "release_notes")
    index.list_versions(NAME, ["5.0.0"])

    assert ask(index) == 0
