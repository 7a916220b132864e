"""A version is released once: the answer is right, or there is none."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from delivery import release_required
from delivery.project import Project
from tests.delivery.simple_index import SimpleIndex

NAME = "open-alchemy-package-database"


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "outputs"
    path.write_text("earlier=step\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_OUTPUT", str(path))
    monkeypatch.setattr(release_required, "configured", lambda: Project("open-alchemy.package-database", "5.0.0"))
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
        pytest.param([], "true", id="none left"),
        pytest.param(["4.0.0", "4.0.1"], "true", id="older"),
        pytest.param(["4.0.1", "5.0.0"], "false", id="same"),
        pytest.param(["5.0"], "false", id="same, spelled otherwise"),
        pytest.param(["5.0.1", "6.0.0"], "true", id="newer"),
        pytest.param(["5.0.0rc1", "5.0.0.dev3"], "true", id="pre-release"),
        pytest.param(["5.0.0.post1"], "true", id="post-release"),
        pytest.param(["2004-draft"], "true", id="older than the rules of versions"),
    ],
)
def test_a_version_that_is_not_on_the_index_needs_a_release(
    index: SimpleIndex, outputs: Path, released: list[str], result: str
) -> None:
    index.list_versions(NAME, released)

    ask(index)

    assert f"\nresult={result}\n" in outputs.read_text(encoding="utf-8")


def test_a_yanked_version_is_taken(index: SimpleIndex, outputs: Path) -> None:
    index.list_versions(NAME, ["5.0.0"], yanked=True)

    ask(index)

    assert "\nresult=false\n" in outputs.read_text(encoding="utf-8")


def test_a_configured_pre_release_is_a_version_of_its_own(
    index: SimpleIndex, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_required, "configured", lambda: Project("open-alchemy.package-database", "5.1.0rc1"))
    index.list_versions(NAME, ["5.0.0", "5.1.0"])

    ask(index)

    assert "\nresult=true\nproject-version=5.1.0rc1\n" in outputs.read_text(encoding="utf-8")


def test_the_answer_is_printed_where_no_workflow_reads_it(
    index: SimpleIndex, outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_OUTPUT")

    ask(index)

    assert capsys.readouterr().out == "result=true\nproject-version=5.0.0\n"
    assert outputs.read_text(encoding="utf-8") == "earlier=step\n"


def test_the_index_is_asked_for_json(index: SimpleIndex, outputs: Path) -> None:
    ask(index)

    assert index.requests == [(f"/simple/{NAME}/", "application/vnd.pypi.simple.v1+json")]


def assert_no_answer(outputs: Path, capsys: pytest.CaptureFixture[str], code: int, message: str) -> None:
    printed = capsys.readouterr()
    assert code == 1
    assert printed.out == ""
    assert f"/simple/{NAME}/ {message}" in printed.err
    assert outputs.read_text(encoding="utf-8") == "earlier=step\n"


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_an_index_that_is_down_gives_no_answer(
    index: SimpleIndex, outputs: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    index.answer(NAME, b"", status=status)

    code = ask(index)

    assert_no_answer(outputs, capsys, code, f"answers {status} ")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<!DOCTYPE html>", id="HTML"),
        pytest.param(b'{"versions": ["5.0', id="half"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"meta": {"api-version": "1.0"}, "files": []}', id="no versions"),
        pytest.param(b'{"versions": null}', id="versions null"),
        pytest.param(b'{"versions": "5.0.0"}', id="versions a text"),
        pytest.param(json.dumps({"versions": [5, 0]}).encode(), id="versions numbers"),
    ],
)
def test_an_answer_that_cannot_be_read_is_no_answer(
    index: SimpleIndex, outputs: Path, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    index.answer(NAME, body)

    code = ask(index)

    assert_no_answer(outputs, capsys, code, "answers ")


def test_an_answer_that_breaks_off_is_no_answer(
    index: SimpleIndex, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index.list_versions(NAME, ["4.0.1"])
    index.held_back = 100

    code = ask(index)

    assert_no_answer(outputs, capsys, code, "does not answer: IncompleteRead")


def test_an_index_out_of_reach_gives_no_answer(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    code = release_required.main(["--index-url", f"http://127.0.0.1:{port}/simple"])

    assert_no_answer(outputs, capsys, code, "does not answer: ")


def test_an_index_that_stays_silent_gives_no_answer(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_required, "_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = release_required.main(["--index-url", f"http://127.0.0.1:{silent.getsockname()[1]}/simple"])

    assert_no_answer(outputs, capsys, code, "does not answer: timed out")
