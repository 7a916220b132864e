"""Only the reviewed template is deployed, and no asset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from delivery import assembly

TEMPLATE = {"Resources": {"Table": {"Type": "AWS::DynamoDB::Table"}}}


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    path = tmp_path / "reviewed.json"
    path.write_text(json.dumps(TEMPLATE), encoding="utf-8")
    return path


def stack(**changed: Any) -> dict[str, Any]:
    properties = {"templateFile": "PackageDatabase.template.json", "terminationProtection": True, **changed}
    return {"type": "aws:cloudformation:stack", "properties": properties}


def write(folder: Path, artifacts: dict[str, Any], template: Any = TEMPLATE) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}), encoding="utf-8")
    (folder / "PackageDatabase.template.json").write_text(json.dumps(template), encoding="utf-8")
    return folder


def test_the_reviewed_stack_is_accepted(tmp_path: Path, reviewed: Path) -> None:
    folder = write(tmp_path / "cdk.out", {"PackageDatabase": stack(), "Tree": {"type": "cdk:tree"}})

    assert list(assembly.problems(folder, reviewed)) == []


@pytest.mark.parametrize(
    ("artifacts", "fault"),
    [
        ({"Other": stack()}, "Other: expected only the stack PackageDatabase"),
        ({"PackageDatabase": stack(templateFile="b.json")}, "PackageDatabase: expected only the stack PackageDatabase"),
        ({"PackageDatabase": stack(terminationProtection=False)}, "PackageDatabase: expected termination protection"),
        (
            {"PackageDatabase": stack(), "A": {"type": "cdk:asset-manifest"}},
            "A: unexpected artifact of the type cdk:asset-manifest",
        ),
        (
            {"PackageDatabase": stack() | {"metadata": {"/": [{"type": "aws:cdk:asset"}]}}},
            "manifest.json: unexpected asset",
        ),
    ],
    ids=["another stack", "another template", "unprotected", "asset manifest", "legacy asset"],
)
def test_anything_else_is_refused(tmp_path: Path, reviewed: Path, artifacts: dict[str, Any], fault: str) -> None:
    folder = write(tmp_path / "cdk.out", artifacts)

    assert list(assembly.problems(folder, reviewed)) == [fault]


def test_a_template_that_was_not_reviewed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "cdk.out", {"PackageDatabase": stack()}, {"Resources": {}})

    code = assembly.main([str(folder)])

    assert (code, capsys.readouterr().err) == (
        1,
        "PackageDatabase.template.json: differs from the reviewed template template.json\n",
    )


def test_a_missing_template_is_refused(tmp_path: Path, reviewed: Path) -> None:
    folder = write(tmp_path / "cdk.out", {"PackageDatabase": stack()})
    (folder / "PackageDatabase.template.json").unlink()

    assert len(list(assembly.problems(folder, reviewed))) == 1
